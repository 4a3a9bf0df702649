/* A picture to draw on: colours, rectangles, and lettering of any height. */
#ifndef MK_IMAGE_CANVAS_H
#define MK_IMAGE_CANVAS_H

#include "core/status.h"

typedef struct {
  float r, g, b; /* sRGB, 0..1 */
} mk_colour;

typedef struct {
  uint8_t *rgb; /* [height][width][3]; owned */
  int width, height;
} mk_canvas;

mkd_status mk_canvas_create(mk_canvas *canvas, int width, int height, mk_colour background);
void mk_canvas_free(mk_canvas *canvas);

/* Everything that is drawn may reach over the canvas' edge: it is cut off there. `alpha` is the
 * colour's opacity, 0..1. */
void mk_canvas_blend(mk_canvas *canvas, int x, int y, mk_colour colour, float alpha);
void mk_canvas_fill(mk_canvas *canvas, int x, int y, int width, int height, mk_colour colour);

/* Digits and the letters that the pictures of this program need; others leave a space. `height` is
 * that of a digit, in pixels. Drawn with the top left corner at (x, y). */
void mk_canvas_text(mk_canvas *canvas, float x, float y, float height, mk_colour colour,
                    const char *text);
float mk_text_width(float height, const char *text);

#endif
