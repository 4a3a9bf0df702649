/* The closing words of train and calibrate, on standard output. */
#ifndef SUMMARY_H
#define SUMMARY_H

#include <mkd/mkd.h>

void summary_threshold(const mkd_threshold *threshold);

#endif
