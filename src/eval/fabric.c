#include "eval/fabric.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

enum { SIDE = MK_FABRIC_SIDE, PATH_POINTS = 25 };

typedef struct {
  float r, g, b; /* linear mixture of grey levels, 1 = white */
} colour;

static const colour warp_colour = {0.33F, 0.41F, 0.56F};
static const colour weft_colour = {0.76F, 0.72F, 0.64F};
static const colour backing = {0.10F, 0.10F, 0.12F}; /* what shows through a hole */
static const colour fibre = {0.86F, 0.84F, 0.80F};   /* where the dye is rubbed off */
static const colour coffee = {0.58F, 0.43F, 0.30F};  /* filter, not a colour of its own */

/* How this piece of cloth lies under the camera. Threads are counted along u (warp threads, which
 * run downwards) and v (weft threads, which run across). */
typedef struct {
  float cosine, sine, pitch; /* of the threads; pitch in pixels */
  float phase_u, phase_v;    /* threads */
  float gain, light_x, light_y;
  colour cast;
  float noise;
  uint32_t salt;
} scene;

typedef struct {
  mk_fabric_kind kind;
  float x, y;     /* centre, or start of the missing stretch */
  float radius;   /* hole, stain */
  float length;   /* missing stretch */
  float strength; /* stain, scratch */
  float width;    /* half of a scratch's */
  float path[PATH_POINTS][2];
  int row; /* missing weft thread */
  uint32_t salt;
} flaw;

/* ---- Noise ----------------------------------------------------------------------------------- */

static float draw(mk_rng *rng, float low, float high)
{
  return low + (high - low) * (float)mk_rng_uniform(rng);
}

/* A fixed random number in 0..1 for a point of the lattice. */
static float hash(int x, int y, uint32_t salt)
{
  uint32_t h = (uint32_t)x * 0x9e3779b1U ^ (uint32_t)y * 0x85ebca77U ^ salt;
  h = (h ^ (h >> 15)) * 0x2c1b3c6dU;
  h = (h ^ (h >> 12)) * 0x297a2d39U;
  return (float)((h ^ (h >> 15)) >> 8) * 0x1p-24F;
}

static float smooth(float t)
{
  return t * t * (3 - 2 * t);
}

static float mix(float a, float b, float weight)
{
  return a + (b - a) * weight;
}

/* Smooth noise in 0..1 that varies over a distance of 1. */
static float value_noise(float x, float y, uint32_t salt)
{
  float left = floorf(x), top = floorf(y);
  float wx = smooth(x - left), wy = smooth(y - top);
  int i = (int)left, k = (int)top;
  return mix(mix(hash(i, k, salt), hash(i + 1, k, salt), wx),
             mix(hash(i, k + 1, salt), hash(i + 1, k + 1, salt), wx), wy);
}

static float unit_clamp(float v)
{
  return v < 0 ? 0 : v > 1 ? 1 : v;
}

static colour blend(colour a, colour b, float weight)
{
  return (colour){mix(a.r, b.r, weight), mix(a.g, b.g, weight), mix(a.b, b.b, weight)};
}

static colour times(colour c, float factor)
{
  return (colour){c.r * factor, c.g * factor, c.b * factor};
}

/* ---- Weave ----------------------------------------------------------------------------------- */

static scene arrange(mk_rng *rng)
{
  float angle = draw(rng, -0.025F, 0.025F);
  scene s = {.cosine = cosf(angle), .sine = sinf(angle)};
  s.pitch = draw(rng, 7.3F, 7.7F);
  s.phase_u = draw(rng, 100, 104);
  s.phase_v = draw(rng, 100, 104);
  s.gain = draw(rng, 0.95F, 1.05F);
  s.light_x = draw(rng, -0.10F, 0.10F);
  s.light_y = draw(rng, -0.10F, 0.10F);
  s.cast = (colour){draw(rng, 0.985F, 1.015F), 1, draw(rng, 0.985F, 1.015F)};
  s.noise = draw(rng, 0.010F, 0.016F);
  s.salt = (uint32_t)mk_rng_next(rng);
  return s;
}

/* x reduced to -half .. half by whole periods. */
static float wrap(float x, float period)
{
  return x - period * floorf(x / period + 0.5F);
}

/* How light a visible piece of thread is: `across` -0.5..0.5 from edge to edge, `along` -1..1 from
 * where it comes up to where it goes down. */
static float thread_light(float across, float along, float run, float ply)
{
  float round = sqrtf(1 - 3.4F * across * across), dive = 1 - 0.42F * along * along * along * along;
  float twist = fabsf(wrap(run * 1.7F + across * 0.9F, 1)) * 4 - 1; /* plies of the yarn */
  return (0.30F + 0.78F * round) * dive - 0.22F * across + 0.045F * twist + 0.16F * (ply - 0.5F);
}

/* 2/2 twill: warp thread i lies over weft threads i - 1 and i of every four, so that the
 * pattern moves on by one thread a row. */
static colour weave(const scene *s, float u, float v, bool missing)
{
  int i = (int)floorf(u), j = (int)floorf(v);
  float fu = u - (float)i - 0.5F, fv = v - (float)j - 0.5F;
  bool warp_up = ((i - j) & 3) < 2;
  if (warp_up || missing) {
    float along = missing ? 0 : wrap(v - (float)i, 4);
    float light = thread_light(fu, along, v, value_noise(u * 5, v * 1.3F, s->salt + 1));
    float tone = 0.92F + 0.16F * hash(i, 0, s->salt + 2);
    /* Without the weft, warp threads that were below it lie deep. */
    return times(warp_colour, light * tone * (missing && !warp_up ? 0.62F : 1));
  }
  float along = wrap(u - (float)j - 3, 4);
  float light = thread_light(fv, along, u, value_noise(u * 1.3F, v * 5, s->salt + 3));
  float tone = 0.93F + 0.14F * hash(j, 1, s->salt + 2);
  return times(weft_colour, light * tone);
}

/* ---- Flaws ----------------------------------------------------------------------------------- */

static flaw plan(mk_fabric_kind kind, const scene *s, mk_rng *rng)
{
  flaw f = {.kind = kind};
  f.x = draw(rng, 45, SIDE - 45);
  f.y = draw(rng, 45, SIDE - 45);
  f.salt = (uint32_t)mk_rng_next(rng);
  switch (kind) {
  case MK_FABRIC_HOLE:
    f.radius = draw(rng, 4.5F, 10);
    break;
  case MK_FABRIC_STAIN:
    f.radius = draw(rng, 13, 30);
    f.strength = draw(rng, 0.40F, 0.75F);
    break;
  case MK_FABRIC_MISSING_THREAD:
    f.length = draw(rng, 50, 150);
    f.x = draw(rng, 8, SIDE - 8 - f.length);
    f.row = (int)floorf(f.y / s->pitch + s->phase_v);
    break;
  case MK_FABRIC_SCRATCH: {
    float angle = draw(rng, 0, 3.1415927F), length = draw(rng, 45, 105);
    float dx = cosf(angle) * length / 2, dy = sinf(angle) * length / 2;
    float bend = draw(rng, -0.4F, 0.4F);
    f.width = draw(rng, 1.0F, 1.9F);
    f.strength = draw(rng, 0.50F, 0.85F);
    for (int i = 0; i < PATH_POINTS; ++i) {
      float t = 2 * (float)i / (PATH_POINTS - 1) - 1, bow = bend * (1 - t * t);
      f.path[i][0] = f.x + dx * t - dy * bow;
      f.path[i][1] = f.y + dy * t + dx * bow;
    }
    break;
  }
  case MK_FABRIC_GOOD:
  case MK_FABRIC_KINDS:
    break;
  }
  return f;
}

/* Distance from the centre in units of an irregular radius. */
static float ragged(const flaw *f, float x, float y, float raggedness)
{
  float dx = x - f->x, dy = y - f->y, distance = sqrtf(dx * dx + dy * dy) + 1e-6F;
  float lobes = value_noise(dx / distance * 1.7F + 9, dy / distance * 1.7F + 9, f->salt);
  float detail = value_noise(x * 0.35F, y * 0.35F, f->salt + 1);
  return distance / (f->radius * (1 + raggedness * (lobes + 0.4F * detail - 0.7F)));
}

static float scratch_distance(const flaw *f, float x, float y)
{
  float nearest = INFINITY;
  for (int i = 0; i + 1 < PATH_POINTS; ++i) {
    float ax = f->path[i][0], ay = f->path[i][1];
    float dx = f->path[i + 1][0] - ax, dy = f->path[i + 1][1] - ay;
    float t = unit_clamp(((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy));
    nearest = fminf(nearest, hypotf(x - ax - t * dx, y - ay - t * dy));
  }
  return nearest;
}

/* The cloth at a pixel, and whether the flaw is there. */
static colour look(const scene *s, const flaw *f, float x, float y, bool *flawed)
{
  float hole = f->kind == MK_FABRIC_HOLE ? ragged(f, x, y, 0.5F) : INFINITY;
  float wx = x + 1.6F * (value_noise(x / 41, y / 41, s->salt + 4) - 0.5F);
  float wy = y + 1.6F * (value_noise(x / 41, y / 41, s->salt + 5) - 0.5F);
  if (hole < 2.5F) { /* threads are pushed aside: what is seen here lay nearer to the centre */
    float push = 0.55F / (hole * hole + 0.8F) * smooth(unit_clamp(2.5F - hole));
    wx -= (x - f->x) * push;
    wy -= (y - f->y) * push;
  }
  float u = (s->cosine * wx + s->sine * wy) / s->pitch + s->phase_u;
  float v = (s->cosine * wy - s->sine * wx) / s->pitch + s->phase_v;
  bool missing = f->kind == MK_FABRIC_MISSING_THREAD && (int)floorf(v) == f->row && x >= f->x &&
                 x < f->x + f->length;
  colour c = weave(s, u, v, missing);
  *flawed = missing;
  if (f->kind == MK_FABRIC_HOLE) {
    float dx = x - f->x, dy = y - f->y;
    float frays = value_noise(u * 3, v * 3, f->salt + 2);
    float rubbed = unit_clamp(1 - fabsf(hole - 1.05F) * 2.6F) * unit_clamp(frays * 2 - 0.6F);
    c = blend(c, fibre, 0.55F * rubbed);
    float shade = 1 + 0.25F * (dx + dy) / (f->radius * 2); /* the rim's shadow falls inside */
    c = blend(times(backing, shade), c, smooth(unit_clamp((hole - 0.80F - 0.35F * frays) * 3.5F)));
    *flawed = hole < 1.5F;
  } else if (f->kind == MK_FABRIC_STAIN) {
    float distance = ragged(f, x, y, 0.6F);
    float inside = smooth(unit_clamp((1.06F - distance) * 7));
    float rim = unit_clamp(1 - fabsf(distance - 0.92F) * 9);
    float amount = f->strength * inside * (0.75F + 0.5F * rim);
    colour filtered = {c.r * coffee.r, c.g * coffee.g, c.b * coffee.b};
    c = blend(c, filtered, amount);
    *flawed = distance < 1;
  } else if (f->kind == MK_FABRIC_SCRATCH) {
    float distance = scratch_distance(f, x, y);
    float grain = value_noise(x * 0.7F, y * 0.7F, f->salt);
    float amount = unit_clamp((f->width - distance) * 1.2F + 0.5F) * (0.45F + 0.75F * grain);
    c = blend(c, fibre, f->strength * unit_clamp(amount));
    *flawed = distance < f->width + 0.3F;
  }
  return c;
}

/* ---- Camera ---------------------------------------------------------------------------------- */

static uint8_t grey_level(float v)
{
  return (uint8_t)(unit_clamp(v) * 255 + 0.5F);
}

/* About normal, variance 1: a triangular distribution from 20 bits. */
static float grain(uint64_t bits)
{
  return ((float)(bits & 1023) + (float)(bits >> 10 & 1023) - 1023) / 418;
}

/* The lens: weights 1 2 1 both ways, border repeated. */
static float blurred(const mk_fabric *fabric, int x, int y, int channel)
{
  float sum = 0;
  for (int dy = -1; dy <= 1; ++dy) {
    for (int dx = -1; dx <= 1; ++dx) {
      int i = y + dy < 0 ? 0 : y + dy < SIDE ? y + dy : SIDE - 1;
      int k = x + dx < 0 ? 0 : x + dx < SIDE ? x + dx : SIDE - 1;
      sum += fabric->cloth[i][k][channel] * (float)((2 - abs(dy)) * (2 - abs(dx)));
    }
  }
  return sum / 16;
}

static void photograph(mk_fabric *fabric, const scene *s, mk_rng *rng)
{
  const float cast[3] = {s->cast.r, s->cast.g, s->cast.b};
  for (int y = 0; y < SIDE; ++y) {
    for (int x = 0; x < SIDE; ++x) {
      float right = (float)x / SIDE - 0.5F, down = (float)y / SIDE - 0.5F;
      float light = s->gain * (1 + s->light_x * right + s->light_y * down -
                               0.12F * (right * right + down * down)); /* vignetting */
      uint64_t bits = mk_rng_next(rng);
      for (int c = 0; c < 3; ++c) {
        float value = blurred(fabric, x, y, c) * light * cast[c];
        fabric->rgb[y][x][c] = grey_level(value + s->noise * grain(bits >> 20 * c));
      }
    }
  }
}

void mk_fabric_weave(mk_fabric *fabric, mk_fabric_kind kind, mk_rng *rng)
{
  scene s = arrange(rng);
  mk_rng camera = mk_rng_seed(mk_rng_next(rng), 0); /* noise does not depend on the flaw */
  flaw f = plan(kind, &s, rng);
  for (int y = 0; y < SIDE; ++y) {
    for (int x = 0; x < SIDE; ++x) {
      bool flawed;
      colour c = look(&s, &f, (float)x, (float)y, &flawed);
      float *cloth = fabric->cloth[y][x];
      cloth[0] = c.r;
      cloth[1] = c.g;
      cloth[2] = c.b;
      fabric->mask[y][x] = flawed ? 255 : 0;
    }
  }
  photograph(fabric, &s, &camera);
}
