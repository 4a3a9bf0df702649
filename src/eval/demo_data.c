#include "core/file.h"
#include "core/memory.h"
#include "eval/fabric.h"
#include "image/png_write.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
  const char *folder, *masks; /* NULL: normal images have none */
  mk_fabric_kind kind;
  int count;
} parts[] = {
    {"train/good", NULL, MK_FABRIC_GOOD, 80},
    {"test/good", NULL, MK_FABRIC_GOOD, 20},
    {"test/hole", "ground_truth/hole", MK_FABRIC_HOLE, 10},
    {"test/missing_thread", "ground_truth/missing_thread", MK_FABRIC_MISSING_THREAD, 10},
    {"test/scratch", "ground_truth/scratch", MK_FABRIC_SCRATCH, 10},
    {"test/stain", "ground_truth/stain", MK_FABRIC_STAIN, 10},
};

enum { PARTS = sizeof parts / sizeof parts[0] };

/* What has been made so far, in order, to be taken back when something fails. */
typedef struct {
  char **paths;
  size_t count, room;
} journal;

/* Takes `path` over, whether or not it succeeds. */
static mkd_status note(journal *made, char *path)
{
  if (made->count == made->room) {
    size_t room = made->room ? 2 * made->room : 64;
    mkd_status status = mk_grow(&made->paths, made->room, room, sizeof *made->paths);
    if (status != MKD_OK) {
      remove(path);
      mk_free(path);
      return status;
    }
    made->room = room;
  }
  made->paths[made->count++] = path;
  return MKD_OK;
}

/* `remove` leaves a folder that others have put something into in the meantime. */
static void close_journal(journal *made, bool undo)
{
  while (made->count > 0) {
    char *path = made->paths[--made->count];
    if (undo) remove(path);
    mk_free(path);
  }
  mk_free(made->paths);
}

static mkd_status check_empty(const char *folder)
{
  DIR *directory = opendir(folder);
  if (!directory) {
    if (errno == ENOTDIR) return mk_fail(MKD_ERROR_FILE, "%s: is not a folder", folder);
    return mk_fail_reading(errno, folder, "cannot open the folder");
  }
  bool empty = true;
  for (struct dirent *entry; empty && (entry = readdir(directory));)
    empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
  closedir(directory);
  if (empty) return MKD_OK;
  return mk_fail(MKD_ERROR_FILE,
                 "%s: is not empty; demonstration data needs a new or an empty folder", folder);
}

/* The folder `inside` (may be NULL) of `folder`, when it is not there yet. */
static mkd_status make_folder(journal *made, const char *folder, const char *inside)
{
  char *path;
  MK_TRY(mk_text_format(&path, "%s%s%s", folder, inside ? "/" : "", inside ? inside : ""));
  if (mkdir(path, 0777) == 0) return note(made, path);
  mkd_status status = MKD_OK;
  if (errno != EEXIST) status = mk_fail_writing(errno, path, "cannot create the folder");
  mk_free(path);
  return status;
}

static mkd_status make_folders(journal *made, const char *folder)
{
  MK_TRY(make_folder(made, folder, NULL));
  MK_TRY(check_empty(folder));
  MK_TRY(make_folder(made, folder, "train"));
  MK_TRY(make_folder(made, folder, "test"));
  MK_TRY(make_folder(made, folder, "ground_truth"));
  for (int i = 0; i < PARTS; ++i) {
    MK_TRY(make_folder(made, folder, parts[i].folder));
    if (parts[i].masks) MK_TRY(make_folder(made, folder, parts[i].masks));
  }
  return MKD_OK;
}

/* Takes `path` over. */
static mkd_status save(journal *made, char *path, const mkd_image *image)
{
  mkd_status status = mk_png_write(path, image);
  if (status == MKD_OK) return note(made, path);
  mk_free(path);
  return status;
}

static mkd_status make_images(journal *made, const char *folder, uint64_t seed, mk_fabric *fabric,
                              bool (*go_on)(void *context), void *context)
{
  const int side = MK_FABRIC_SIDE;
  const mkd_image image = {fabric->rgb, side, side, sizeof fabric->rgb[0], MKD_RGB8};
  const mkd_image mask = {fabric->mask, side, side, sizeof fabric->mask[0], MKD_GREY8};
  uint64_t number = 0;
  for (int i = 0; i < PARTS; ++i) {
    for (int k = 0; k < parts[i].count; ++k) {
      if (go_on && !go_on(context)) return MKD_CANCELLED;
      mk_rng rng = mk_rng_seed(seed, number++);
      mk_fabric_weave(fabric, parts[i].kind, &rng);
      char *path;
      MK_TRY(mk_text_format(&path, "%s/%s/%03d.png", folder, parts[i].folder, k));
      MK_TRY(save(made, path, &image));
      if (!parts[i].masks) continue;
      MK_TRY(mk_text_format(&path, "%s/%s/%03d_mask.png", folder, parts[i].masks, k));
      MK_TRY(save(made, path, &mask));
    }
  }
  return MKD_OK;
}

mkd_status mkd_demo_data(const char *folder, uint64_t seed, bool (*go_on)(void *context),
                         void *context)
{
  if (!folder || !*folder)
    return mk_fail(MKD_ERROR_ARGUMENT, "demonstration data: no folder given");
  journal made = {0};
  mk_fabric *fabric;
  MK_TRY(mk_alloc(&fabric, 1, sizeof *fabric));
  mkd_status status = make_folders(&made, folder);
  if (status == MKD_OK) status = make_images(&made, folder, seed, fabric, go_on, context);
  close_journal(&made, status != MKD_OK);
  mk_free(fabric);
  return status;
}
