/* The files of data sets, gzipped or not: IDX, CIFAR-10, labels of head CT. The first byte tells
 * which, the next two how much of the rest is images; behind them are labels. */
#include "fuzz.h"

#include <mkd/mkd.h>

#include <stdlib.h>

static void open_layout(mkd_layout layout, mkd_split split)
{
  mkd_dataset *dataset;
  if (mkd_dataset_open_layout(&dataset, scratch_folder(), layout, split, NULL) != MKD_OK) return;
  for (size_t i = 0; i < mkd_dataset_count(dataset); ++i) {
    if (!mkd_dataset_get(dataset, i).path) abort();
  }
  mkd_dataset_destroy(dataset);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  if (size < 3) return 0;
  size_t first = (size_t)data[1] << 8 | data[2];
  int kind = data[0] % 3;
  data += 3;
  size -= 3;
  if (first > size) first = size;
  if (kind == 0) {
    scratch_file("t10k-images-idx3-ubyte", data, first);
    scratch_file("t10k-labels-idx1-ubyte", data + first, size - first);
    open_layout(MKD_LAYOUT_MNIST, MKD_SPLIT_TEST);
  } else if (kind == 1) {
    scratch_file("test_batch.bin", data, size);
    open_layout(MKD_LAYOUT_CIFAR_10, MKD_SPLIT_TEST);
  } else {
    scratch_file("labels.csv", data, size);
    scratch_file("000.png", "", 0);
    scratch_file("001.png", "", 0);
    open_layout(MKD_LAYOUT_HEAD_CT, MKD_SPLIT_ALL);
  }
  return 0;
}
