#include <mkd/mkd.h>

#include <stdio.h>
#include <string.h>

int main(void)
{
  mkd_picture *picture = NULL;
  if (mkd_picture_load(&picture, "absent.png", NULL) != MKD_ERROR_FILE) return 1;
  if (!strstr(mkd_last_error(), "absent.png")) return 1;
  printf("%s\n", mkd_version());
  return 0;
}
