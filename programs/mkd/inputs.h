/* The images that a command line names: files, folders, and lists of names on standard input. */
#ifndef INPUTS_H
#define INPUTS_H

#include "scan.h"

typedef struct input_list input_list;

/* Folders are listed here, recursively; "-" is read line by line as the images are asked for. What
 * is not there becomes a job with an error. */
input_list *inputs_open(char **paths, int count, const mkd_limits *limits);
void inputs_close(input_list *inputs);

/* Number of images; 0 if not known, because of a "-". */
size_t inputs_count(const input_list *inputs);

/* For scan.next. The name of each job is its path below the deepest folder that holds all inputs;
 * with "-", that is the root. */
bool inputs_next(input_list *inputs, scan_job *job);

#endif
