#include "eval/gzip.h"

#include "core/memory.h"

#include <string.h>
#include <zlib.h>

enum { GZIP_ONLY = 15 + 16 }; /* of zlib's window bits: the largest window, in a gzip file */

static bool is_gzip(const uint8_t *data, size_t size)
{
  return size >= 2 && data[0] == 0x1f && data[1] == 0x8b;
}

static mkd_status fail_damaged(const char *path, const char *why)
{
  return mk_fail(MKD_ERROR_FILE, "%s: damaged gzip file: %s", path, why);
}

/* Twice the room, up to one byte more than the limit: that byte tells that there is too much. */
static mkd_status grow(mk_bytes *room, size_t limit)
{
  size_t size = room->size < limit / 2 ? 2 * room->size : limit + 1;
  MK_TRY(mk_grow(&room->data, room->size, size, 1));
  room->size = size;
  return MKD_OK;
}

/* zlib counts in 32 bits. */
static unsigned piece(size_t size)
{
  const size_t most = 1 << 30;
  return (unsigned)(size < most ? size : most);
}

/* `room` holds what is unpacked, and more; `*used` bytes of it count. */
static mkd_status inflate_all(z_stream *stream, const mk_bytes *packed, mk_bytes *room,
                              size_t *used, const char *path, size_t limit)
{
  size_t taken = 0;
  for (;;) {
    if (*used == room->size) MK_TRY(grow(room, limit));
    stream->next_in = packed->data + taken;
    stream->avail_in = piece(packed->size - taken);
    stream->next_out = room->data + *used;
    stream->avail_out = piece(room->size - *used);
    unsigned in = stream->avail_in, out = stream->avail_out;
    int code = inflate(stream, Z_NO_FLUSH);
    taken += in - stream->avail_in;
    *used += out - stream->avail_out;
    if (*used > limit)
      return mk_fail(MKD_ERROR_FILE, "%s: holds more than the limit of %zu bytes", path, limit);
    if (code == Z_STREAM_END) {
      if (taken == packed->size) return MKD_OK;
      /* A gzip file may have several members, one behind the other. */
      if (!is_gzip(packed->data + taken, packed->size - taken))
        return fail_damaged(path, "something follows its end");
      code = inflateReset(stream);
    } else if (code == Z_BUF_ERROR && taken == packed->size) {
      return fail_damaged(path, "it is cut off");
    }
    if (code == Z_MEM_ERROR) return mk_fail_memory(0);
    if (code != Z_OK && code != Z_BUF_ERROR)
      return fail_damaged(path, stream->msg ? stream->msg : "it cannot be unpacked");
  }
}

static mkd_status unpack(mk_bytes *bytes, const mk_bytes *packed, const char *path, size_t limit)
{
  z_stream stream = {0};
  mk_bytes room = {.size = packed->size};
  size_t used = 0;
  if (inflateInit2(&stream, GZIP_ONLY) != Z_OK) return mk_fail_memory(0);
  mkd_status status = mk_alloc(&room.data, room.size, 1);
  if (status == MKD_OK) status = inflate_all(&stream, packed, &room, &used, path, limit);
  inflateEnd(&stream);
  if (status != MKD_OK) {
    mk_free(room.data);
    return status;
  }
  *bytes = (mk_bytes){room.data, used};
  return MKD_OK;
}

mkd_status mk_gzip_read(mk_bytes *bytes, const char *path, size_t limit)
{
  mk_bytes file;
  MK_TRY(mk_file_read(&file, path, limit));
  if (!is_gzip(file.data, file.size)) {
    *bytes = file;
    return MKD_OK;
  }
  mkd_status status = unpack(bytes, &file, path, limit);
  mk_free(file.data);
  return status;
}
