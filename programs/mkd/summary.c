#include "summary.h"

#include <math.h>
#include <stdio.h>

void summary_threshold(const mkd_threshold *threshold)
{
  printf("threshold  %.4f for a false-alarm rate of %g, from %zu held-out images\n",
         threshold->score, threshold->false_alarm, threshold->held_out);
  if (threshold->held_out == 1)
    puts("           (a guess: one held-out image does not tell how far scores spread)");
  else if (threshold->extrapolated)
    printf("           (extrapolated: this rate needs at least %.0f held-out images)\n",
           ceil(1 / threshold->false_alarm - 1e-9) - 1);
}
