#include "distill/schedule.h"

#include <math.h>

static double cosine(double from, double to, double part)
{
  return to + (from - to) / 2 * (cos(3.141592653589793 * part) + 1);
}

mk_rate mk_schedule_at(mk_schedule schedule, double learning_rate, uint64_t step, uint64_t steps)
{
  if (schedule == MK_SCHEDULE_CONSTANT) return (mk_rate){learning_rate, 0.9};
  const double first = learning_rate / 25, last = first / 10000;
  double peak = 0.1 * (double)steps - 1, end = (double)steps - 1, now = (double)step;
  if (peak > 0 && now <= peak) {
    double part = now / peak;
    return (mk_rate){cosine(first, learning_rate, part), cosine(0.95, 0.85, part)};
  }
  if (peak < 0) peak = 0;
  double part = end > peak ? (now - peak) / (end - peak) : 0;
  return (mk_rate){cosine(learning_rate, last, part), cosine(0.85, 0.95, part)};
}
