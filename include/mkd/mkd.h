/* mkd: anomaly detection and localization in images, learnt from normal images only.
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 * Introduction
 * ------------
 * A frozen *expert* network, pre-trained on ImageNet, looks at an image. A small *cloner* network
 * has been trained, on normal images only, to reproduce the expert's activations at a few depths,
 * the *critical points* (Salehi et al., "Multiresolution Knowledge Distillation for Anomaly
 * Detection", CVPR 2021). Where the two disagree, the image is anomalous.
 *
 * Six kinds of object, each made by a function that takes the address of a pointer, and freed by
 * the `_destroy` of its kind (which accepts NULL):
 *
 *   mkd_picture   decoded pixels of one image file
 *   mkd_expert    a pre-trained network; never changes once loaded
 *   mkd_detector  expert + cloner + calibration: what a model file holds; never changes
 *   mkd_session   working memory to score images with one detector; one thread at a time
 *   mkd_features  what the expert makes of a set of images, for several detectors to score
 *   mkd_dataset   the images of a folder, sorted, with their masks when it has the MVTec AD layout;
 *                 or those of a public data set, with their labels
 *
 * One detector serves any number of sessions in any number of threads. It has to outlive them.
 *
 * Every function that can fail returns an mkd_status; mkd_last_error() then tells, for the calling
 * thread, which file, tensor or option is wrong and what would be right. Outputs are written only
 * on success. Nothing in the library prints, exits or keeps global state.
 *
 * Example: train on a folder of normal images, save the detector, score one image.
 *
 *   mkd_expert *expert = NULL;
 *   mkd_dataset *normal = NULL;
 *   mkd_detector *detector = NULL;
 *   mkd_session *session = NULL;
 *   mkd_picture *picture = NULL;
 *   mkd_result result;
 *   mkd_train_options options = mkd_train_options_default();
 *
 *   if (mkd_expert_load(&expert, "efficientnet-lite0.safetensors", NULL) != MKD_OK ||
 *       mkd_dataset_open(&normal, "parts/good", MKD_SPLIT_TRAIN, NULL) != MKD_OK ||
 *       mkd_train(&detector, expert, mkd_dataset_source(normal), &options) != MKD_OK ||
 *       mkd_detector_save(detector, "parts.mkd") != MKD_OK ||
 *       mkd_session_create(&session, detector, NULL) != MKD_OK ||
 *       mkd_picture_load(&picture, "parts/new.png", NULL) != MKD_OK ||
 *       mkd_session_score(session, mkd_picture_image(picture), &result) != MKD_OK) {
 *     fprintf(stderr, "%s\n", mkd_last_error());
 *   } else {
 *     printf("score %g, p = %g: %s\n", result.score, result.p_value,
 *            result.anomalous ? "anomalous" : "normal");
 *   }
 *   mkd_picture_destroy(picture);
 *   mkd_session_destroy(session);
 *   mkd_detector_destroy(detector);
 *   mkd_dataset_destroy(normal);
 *   mkd_expert_destroy(expert);
 */
#ifndef MKD_MKD_H
#define MKD_MKD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define MKD_API __attribute__((visibility("default")))
#else
#define MKD_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Status ---------------------------------------------------------------------------------- */

/* The numbers are stable. */
typedef enum mkd_status {
  MKD_OK = 0,
  MKD_ERROR_ARGUMENT = 1, /* an option, recipe key or argument that cannot be */
  MKD_ERROR_FILE = 2,     /* a file is missing, unreadable, damaged or of the wrong kind */
  MKD_ERROR_DATA = 3,     /* files are fine, but not enough: no image, one class only, ... */
  MKD_ERROR_MEMORY = 4,   /* out of memory */
  MKD_ERROR_STORAGE = 5,  /* the disk is full or refuses to write */
  MKD_CANCELLED = 6       /* a progress callback asked to stop */
} mkd_status;

/* Text of the last error of the calling thread; "" when there was none. Valid until the thread's
 * next call into the library. */
MKD_API const char *mkd_last_error(void);

/* "0.1.0" */
MKD_API const char *mkd_version(void);

/* One line: the instruction set in use and the versions of the linked libraries. */
MKD_API const char *mkd_build_info(void);

/* ---- Limits ---------------------------------------------------------------------------------- */

/* Enforced before memory is taken for what goes beyond them. Wherever a function asks for limits,
 * NULL stands for the defaults. */
typedef struct mkd_limits {
  size_t size;         /* sizeof(mkd_limits) */
  uint64_t max_pixels; /* of one image; default 2^28 */
  uint64_t max_bytes;  /* of one file, be it an image, weights, an expert or a model, and of what it
                          is unpacked to; default 2^32 */
  uint64_t max_files;  /* images of one data set, and names in one folder; default 10 * 2^20 */
} mkd_limits;

MKD_API mkd_limits mkd_limits_default(void);

/* ---- Images ---------------------------------------------------------------------------------- */

typedef enum mkd_pixel_format {
  MKD_GREY8,  /* 1 byte a pixel */
  MKD_RGB8,   /* 3 bytes: R G B */
  MKD_BGR8,   /* 3 bytes: B G R */
  MKD_GREY16, /* one uint16_t in host byte order, 0..65535 */
  MKD_RGB16   /* three uint16_t: R G B */
} mkd_pixel_format;

/* A view of pixels that the caller owns. Rows run from top to bottom; 16-bit rows are aligned to
 * 2 bytes. */
typedef struct mkd_image {
  const void *data;
  int width, height; /* pixels, at least 1 */
  size_t stride;     /* bytes from one row to the next */
  mkd_pixel_format format;
} mkd_image;

typedef struct mkd_picture mkd_picture;

/* Decodes a JPEG, PNG, TIFF, WebP, BMP or PNM file; the type is told by content, not by name. EXIF
 * orientation is applied, transparency is composited on black, palettes are expanded, CMYK is
 * converted, 16 bit stays 16 bit. Of a TIFF with several pages, and of an animated PNG, the first
 * picture counts; an animated WebP is refused. */
MKD_API mkd_status mkd_picture_load(mkd_picture **picture, const char *path,
                                    const mkd_limits *limits);

/* The same from bytes in memory; `name` stands for the file in error texts. */
MKD_API mkd_status mkd_picture_decode(mkd_picture **picture, const void *bytes, size_t size,
                                      const char *name, const mkd_limits *limits);

/* A view that lives as long as the picture. */
MKD_API const mkd_image *mkd_picture_image(const mkd_picture *picture);

MKD_API void mkd_picture_destroy(mkd_picture *picture);

/* ---- Experts --------------------------------------------------------------------------------- */

typedef struct mkd_expert mkd_expert;

/* Reads an expert file, as `mkd_expert_save` and `mkd import` write it. */
MKD_API mkd_status mkd_expert_load(mkd_expert **expert, const char *path, const mkd_limits *limits);

/* Reads pre-trained weights: PyTorch `.pth` (legacy and zip format; nothing in them is executed),
 * or safetensors. `arch` names the architecture ("vgg11" ... "vgg19", "vgg11_bn" ... "vgg19_bn",
 * "efficientnet-lite0" ... "efficientnet-lite4"), or is NULL to tell it from the tensors' names and
 * shapes. Batch norm is folded into the convolutions. */
MKD_API mkd_status mkd_expert_import(mkd_expert **expert, const char *path, const char *arch,
                                     const mkd_limits *limits);

MKD_API mkd_status mkd_expert_save(const mkd_expert *expert, const char *path);

/* SHA-256 of the file of weights that it was imported from, 64 hexadecimal digits; lives as long as
 * the expert. */
MKD_API const char *mkd_expert_sha256(const mkd_expert *expert);

MKD_API void mkd_expert_destroy(mkd_expert *expert);

/* ---- Where images come from ------------------------------------------------------------------ */

/* A pull source of images: `count` of them, asked for by index, possibly more than once and from
 * several threads at once. `get` fills `image` with a view that stays valid until `release` is
 * called with the same `image`. It returns MKD_OK, or a status that ends the work; a text for the
 * user is given by mkd_set_error. */
typedef struct mkd_image_source {
  size_t count;
  mkd_status (*get)(void *context, size_t index, mkd_image *image, void **handle);
  void (*release)(void *context, const mkd_image *image, void *handle);
  void *context;
} mkd_image_source;

/* For callbacks: sets the calling thread's error text and returns `status`. */
MKD_API mkd_status mkd_set_error(mkd_status status, const char *text);

typedef struct mkd_dataset mkd_dataset;

typedef enum mkd_split {
  MKD_SPLIT_TRAIN, /* train/good of an MVTec AD category, else all images below the folder */
  MKD_SPLIT_TEST,  /* test/<kind> of an MVTec AD category, with ground_truth/<kind> */
  MKD_SPLIT_ALL    /* all images below the folder, whatever its layout; kind "", no masks */
} mkd_split;

typedef struct mkd_dataset_item {
  const char *path; /* of the image; FILE#N when a file holds many, N from 0 */
  const char *kind; /* "good", or the kind of defect; "" when not known (MKD_SPLIT_ALL); the name of
                       the class where there are classes */
  bool anomalous;   /* the kind of a defect or disease */
  const char *mask; /* path of the ground-truth mask, or NULL */
} mkd_dataset_item;

/* Lists the images of a folder (or one image file), sorted by path; but not *.map.tiff,
 * *.overlay.png and *.mask.png, which `mkd score` writes, perhaps beside them. Each mask is paired
 * by the name of its image: <name>_mask.* or <name>.*; a mask that belongs to no image is an error.
 * The limits hold for the images, too, which the source decodes later. */
MKD_API mkd_status mkd_dataset_open(mkd_dataset **dataset, const char *folder, mkd_split split,
                                    const mkd_limits *limits);

/* Layouts of public data sets. MNIST to OCT have the splits TRAIN and TEST, each with all classes;
 * brain MRI and head CT are not split: MKD_SPLIT_ALL. IDX and binary files may be gzipped. */
typedef enum mkd_layout {
  MKD_LAYOUT_FOLDER,        /* what mkd_dataset_open reads */
  MKD_LAYOUT_MNIST,         /* IDX files, train-* and t10k-*; kinds "0" to "9" */
  MKD_LAYOUT_FASHION_MNIST, /* the same; kinds "t-shirt/top" to "ankle boot" */
  MKD_LAYOUT_CIFAR_10,      /* binary version: data_batch*.bin or train*.bin, and test*.bin; kinds
                               "airplane" to "truck" */
  MKD_LAYOUT_OCT,           /* retinal OCT: folders train and test, each with NORMAL, CNV, DME and
                               DRUSEN; all but NORMAL are anomalous */
  MKD_LAYOUT_BRAIN_MRI,     /* folders no and yes; yes is anomalous */
  MKD_LAYOUT_HEAD_CT        /* labels.csv with columns id and hemorrhage, and below the same folder
                               images with numbers for names; kinds "normal" and "hemorrhage" */
} mkd_layout;

MKD_API mkd_status mkd_dataset_open_layout(mkd_dataset **dataset, const char *folder,
                                           mkd_layout layout, mkd_split split,
                                           const mkd_limits *limits);

MKD_API size_t mkd_dataset_count(const mkd_dataset *dataset);
MKD_API mkd_dataset_item mkd_dataset_get(const mkd_dataset *dataset, size_t index);
MKD_API void mkd_dataset_destroy(mkd_dataset *dataset);

/* A source that decodes the data set's files on demand, but files that hold many images, which are
 * in memory since the data set was opened. Lives as long as the data set. */
MKD_API mkd_image_source mkd_dataset_source(const mkd_dataset *dataset);

/* ---- Training -------------------------------------------------------------------------------- */

typedef enum mkd_stage {
  MKD_STAGE_READ,     /* decode and resize */
  MKD_STAGE_TARGETS,  /* the expert's activations */
  MKD_STAGE_DISTILL,  /* epochs */
  MKD_STAGE_CALIBRATE /* scores of the held-out images */
} mkd_stage;

typedef struct mkd_progress {
  mkd_stage stage;
  uint64_t done, total; /* images, or optimiser steps */
  int epoch, epochs;    /* 1-based; 0 outside MKD_STAGE_DISTILL */
  double loss;          /* mean training loss of the epoch so far; NAN when not known */
  double held_out_loss; /* of the last epoch that was checked; NAN when not known */
  double seconds_left;  /* of the whole training; NAN when not known yet */
} mkd_progress;

typedef struct mkd_detector mkd_detector;

typedef enum mkd_log_level { MKD_LOG_INFO, MKD_LOG_WARNING } mkd_log_level;

typedef struct mkd_train_options {
  size_t size;            /* sizeof(mkd_train_options) */
  const char *recipe;     /* "default", "paper", "paper-code" or a JSON file; NULL = "default" */
  const char *const *set; /* NULL, or "key=value" texts that override the recipe, in turn */
  size_t set_count;
  uint64_t seed;      /* below 2^63, default 0; same seed, same bytes, on any number of threads */
  int threads;        /* 0 = one a core */
  double false_alarm; /* rate that the threshold aims at, in (0, 1); default 0.01 */
  uint64_t cache_memory;  /* bytes of inputs and targets kept in memory; more than that goes to an
                             unlinked file in $TMPDIR; default 2 GiB */
  const char *checkpoint; /* file to save the state of training to, or NULL */
  bool resume;            /* go on from `checkpoint` if it exists */
  int snapshot_every; /* epochs from one snapshot to the next; 0 = none; the end gives one, too */
  /* Called often from the calling thread; returns false to stop with MKD_CANCELLED. */
  bool (*progress)(void *context, const mkd_progress *progress);
  void (*log)(void *context, mkd_log_level level, const char *text);
  /* A calibrated detector as training stands after `epoch` epochs (1-based), valid during the call.
   * Training goes on as if it had not been asked: same bytes at the end. Anything but MKD_OK ends
   * it. */
  mkd_status (*snapshot)(void *context, int epoch, const mkd_detector *detector);
  void *context;
} mkd_train_options;

MKD_API mkd_train_options mkd_train_options_default(void);

/* Trains a cloner of `expert` on the images of `source`, all of them normal, and calibrates it on
 * the part that the recipe holds out. The detector keeps what it needs of the expert. */
MKD_API mkd_status mkd_train(mkd_detector **detector, const mkd_expert *expert,
                             mkd_image_source source, const mkd_train_options *options);

/* ---- Detectors ------------------------------------------------------------------------------- */

MKD_API mkd_status mkd_detector_load(mkd_detector **detector, const char *path,
                                     const mkd_limits *limits);
MKD_API mkd_status mkd_detector_save(const mkd_detector *detector, const char *path);
MKD_API void mkd_detector_destroy(mkd_detector *detector);

typedef enum mkd_localize {
  MKD_LOCALIZE_RECIPE = 0,  /* the one that the model was calibrated with */
  MKD_LOCALIZE_NONE,        /* no map */
  MKD_LOCALIZE_DISCREPANCY, /* where the activations differ */
  MKD_LOCALIZE_GRADIENT,    /* gradient of the loss with respect to the pixels */
  MKD_LOCALIZE_SMOOTHGRAD,  /* its mean over noisy copies */
  MKD_LOCALIZE_GBP          /* guided back-propagation */
} mkd_localize;

/* The method whose maps the detector was calibrated with: what MKD_LOCALIZE_RECIPE stands for. */
MKD_API mkd_localize mkd_detector_localize(const mkd_detector *detector);

typedef struct mkd_calibrate_options {
  size_t size; /* sizeof(mkd_calibrate_options) */
  double false_alarm;
  int threads;
  mkd_localize localize; /* whose map threshold is calibrated too */
  bool (*progress)(void *context, const mkd_progress *progress);
  void *context;
} mkd_calibrate_options;

MKD_API mkd_calibrate_options mkd_calibrate_options_default(void);

/* A new detector with the same networks; the scale of its scores and its threshold come from other
 * normal images, which must not have been trained on. */
MKD_API mkd_status mkd_detector_calibrate(mkd_detector **calibrated, const mkd_detector *detector,
                                          mkd_image_source normal,
                                          const mkd_calibrate_options *options);

/* The score above which an image is called anomalous at false-alarm rate `false_alarm`: the
 * split-conformal quantile of the held-out scores, or, when these are too few for the asked rate
 * (n + 1 < 1 / rate), an extrapolation from their tail; `extrapolated` (may be NULL) says which. */
typedef struct mkd_threshold {
  double score;
  double map; /* for single pixels of the calibrated map; same rate, counted per image */
  double false_alarm;
  bool extrapolated;
  size_t held_out; /* number of normal images that it comes from */
} mkd_threshold;

MKD_API mkd_status mkd_detector_threshold(const mkd_detector *detector, double false_alarm,
                                          mkd_threshold *threshold);

/* Text that describes a model, expert or recipe file, or says that it is a checkpoint, as JSON. The
 * caller frees it with mkd_text_free. */
MKD_API mkd_status mkd_describe(char **json, const char *path, const mkd_limits *limits);
MKD_API void mkd_text_free(char *text);

/* ---- Scoring --------------------------------------------------------------------------------- */

typedef struct mkd_session mkd_session;

typedef struct mkd_session_options {
  size_t size;           /* sizeof(mkd_session_options) */
  int threads;           /* for one image; 0 = one a core; default 1 */
  mkd_localize localize; /* default MKD_LOCALIZE_RECIPE */
  double false_alarm;    /* 0 = the model's own threshold */
  bool plain_map;        /* no smoothing and no opening of maps, whatever the recipe says */
} mkd_session_options;

MKD_API mkd_session_options mkd_session_options_default(void);

/* `options` may be NULL. */
MKD_API mkd_status mkd_session_create(mkd_session **session, const mkd_detector *detector,
                                      const mkd_session_options *options);
MKD_API void mkd_session_destroy(mkd_session *session);

/* A heat map, row-major. Owned by the session, valid until its next call. */
typedef struct mkd_map {
  const float *data;
  int width, height; /* those of the scored image */
} mkd_map;

typedef struct mkd_result {
  double score;   /* higher = more anomalous; not bounded */
  double p_value; /* (1 + number of held-out scores >= score) / (held-out images + 1) */
  mkd_threshold threshold;
  bool map_calibrated;    /* threshold.map applies to this map */
  bool anomalous;         /* score > threshold.score */
  mkd_map map;            /* data is NULL with MKD_LOCALIZE_NONE */
  double map_max;         /* at the input's size; with tiles, of any tile's map before they are
                             blended; NAN without a map */
  double map_mean_normal; /* mean of the calibrated map over normal images: the cold end of a
                             colour scale */
  double ms;              /* wall-clock milliseconds of this call */
} mkd_result;

/* If the detector looks at tiles, the threads of the session share them: the score is made of the
 * largest values of all tiles, the map is theirs, blended, and apart from the map, memory does not
 * grow with the image. */
MKD_API mkd_status mkd_session_score(mkd_session *session, const mkd_image *image,
                                     mkd_result *result);

/* ---- Activations kept ------------------------------------------------------------------------ */

/* The expert's activations of a set of images at a detector's critical points, computed once, for
 * all detectors that share its expert, its input and its critical points: ten detectors that are
 * tested on the same images, or the snapshots of one training, run the expert over them only once.
 * Never changes; any number of threads may use it. */
typedef struct mkd_features mkd_features;

typedef struct mkd_features_options {
  size_t size;           /* sizeof(mkd_features_options) */
  int threads;           /* 0 = one a core */
  uint64_t cache_memory; /* bytes kept in memory; more than that goes to an unlinked file in
                            $TMPDIR; default 2 GiB */
  bool (*progress)(void *context, const mkd_progress *progress); /* as in mkd_train_options */
  void *context;
} mkd_features_options;

MKD_API mkd_features_options mkd_features_options_default(void);

/* Of all images of `source`; the detector is needed during the call alone. `options` may be NULL.
 */
MKD_API mkd_status mkd_features_create(mkd_features **features, const mkd_detector *detector,
                                       mkd_image_source source,
                                       const mkd_features_options *options);
MKD_API void mkd_features_destroy(mkd_features *features);

/* Number of images. */
MKD_API size_t mkd_features_count(const mkd_features *features);

/* Whether `detector` makes the same inputs of images, and the same activations of these. */
MKD_API bool mkd_features_match(const mkd_features *features, const mkd_detector *detector);

/* scores[i] of every image i: what mkd_session_score gives, to the bit. 0 threads = one a core.
 * MKD_ERROR_ARGUMENT when the detector does not match. */
MKD_API mkd_status mkd_features_score(const mkd_features *features, const mkd_detector *detector,
                                      int threads, double *scores);

/* ---- Files of results ------------------------------------------------------------------------ */

/* Writes a file as all others are written: it is complete, or `path` is as it was before. */
MKD_API mkd_status mkd_file_save(const char *path, const void *data, size_t size);

/* ---- Pictures of results --------------------------------------------------------------------- */

/* 32-bit float TIFF, one channel. */
MKD_API mkd_status mkd_map_save(const char *path, const mkd_map *map);

/* 8-bit PNG: 255 where the map exceeds `threshold`, else 0. */
MKD_API mkd_status mkd_mask_save(const char *path, const mkd_map *map, double threshold);

typedef struct mkd_overlay_options {
  size_t size;      /* sizeof(mkd_overlay_options) */
  double low, high; /* ends of the colour scale */
  double threshold; /* contour drawn around map > threshold; NAN = no contour */
} mkd_overlay_options;

/* PNG: the image under its heat map, with the colour scale beside it. */
MKD_API mkd_status mkd_overlay_save(const char *path, const mkd_image *image, const mkd_map *map,
                                    const mkd_overlay_options *options);

/* A preview in memory, as a JPEG file that fits into side x side pixels (16 to 4096) and is not
 * enlarged: of the image (`map` NULL), of its heat map (`image` NULL), or of the image under its
 * heat map, as mkd_overlay_save draws it but without the scale. `options` go with the map. The
 * caller frees `*jpeg` with mkd_bytes_free. */
MKD_API mkd_status mkd_thumbnail(unsigned char **jpeg, size_t *bytes, int side,
                                 const mkd_image *image, const mkd_map *map,
                                 const mkd_overlay_options *options);
MKD_API void mkd_bytes_free(unsigned char *bytes);

/* ---- Evaluation ------------------------------------------------------------------------------ */

typedef struct mkd_evaluation mkd_evaluation;

/* Collects results of a labelled test set. Pixel metrics are taken at each mask's own resolution
 * (`resolution` 0), or with maps and masks brought to resolution x resolution pixels, as papers do
 * that evaluate at their network's input size: images of all sizes then weigh the same. */
MKD_API mkd_status mkd_evaluation_create(mkd_evaluation **evaluation, int resolution);
MKD_API void mkd_evaluation_destroy(mkd_evaluation *evaluation);

/* `map` and `mask` may be NULL. A normal image needs no mask. `mask` is binarised at > 127 (8 bit)
 * and has any size; the map is upsampled bilinearly to it. */
MKD_API mkd_status mkd_evaluation_add(mkd_evaluation *evaluation, const char *kind, bool anomalous,
                                      const mkd_result *result, const mkd_image *mask);

typedef struct mkd_interval {
  double value, low, high; /* low and high: 95 % interval, NAN where not computed */
} mkd_interval;

/* All rates and areas in 0..1, NAN where not defined (no masks, no map). */
typedef struct mkd_metrics {
  size_t normal, anomalous;           /* images */
  mkd_interval image_auroc, image_ap; /* bootstrap intervals, below 1000 images */
  double image_f1_max, image_f1_threshold;
  double tpr_at_fpr_1, tpr_at_fpr_5; /* detection rate at 1 % and 5 % false alarms */
  double pixel_auroc_all;            /* pixels of all images, but anomalous ones without mask */
  double pixel_auroc_anomalous;      /* pixels of anomalous images only */
  double aupro_30, aupro_5;          /* area under per-region overlap to FPR 0.3 and 0.05 */
  double pixel_f1_max, pixel_f1_threshold, pixel_ap;
  mkd_interval false_alarm_rate, detection_rate; /* at the model's own threshold; Wilson's
                                                    intervals */
} mkd_metrics;

/* Over all kinds (`kind` NULL), or the normal images against one kind. MKD_ERROR_DATA when one
 * class is missing. */
MKD_API mkd_status mkd_evaluation_metrics(const mkd_evaluation *evaluation, const char *kind,
                                          mkd_metrics *metrics);

/* ---- Measuring ------------------------------------------------------------------------------- */

/* What one part of scoring an image takes. */
typedef struct mkd_measurement {
  const char *name; /* "expert", "conv 3x3/1 64x64x128 to 128", ...; valid during the call */
  double ms;        /* wall-clock milliseconds, median of several runs */
  double gflop;     /* 1e9 floating-point operations, a multiply-add as two; 0 = not counted */
} mkd_measurement;

typedef void mkd_measure_report(void *context, const mkd_measurement *measurement);

/* The stages of scoring `image` in a session with these options (NULL = defaults): "resize",
 * "expert", "cloner", "score" and, unless there is none, "map". Of the first tile, if the detector
 * looks at tiles. */
MKD_API mkd_status mkd_measure_stages(const mkd_detector *detector, const mkd_image *image,
                                      const mkd_session_options *options,
                                      mkd_measure_report *report, void *context);

/* Every convolution and pool of both networks, alone; those of the same shape once. 0 threads = one
 * a core. */
MKD_API mkd_status mkd_measure_layers(const mkd_detector *detector, int threads,
                                      mkd_measure_report *report, void *context);

/* GFLOP/s of multiply-adds in registers, with the instruction set in use. */
MKD_API mkd_status mkd_measure_peak(double *gflops, int threads);

/* ---- Demonstration data ---------------------------------------------------------------------- */

/* Writes a small made-up data set in MVTec AD layout to `folder`, which must not exist or be empty:
 * textures, defects of several kinds, masks. Same seed, same bytes. `go_on` (may be NULL) is asked
 * before each image; where it says no, all is removed again: MKD_CANCELLED. */
MKD_API mkd_status mkd_demo_data(const char *folder, uint64_t seed, bool (*go_on)(void *context),
                                 void *context);

#ifdef __cplusplus
}
#endif

#endif
