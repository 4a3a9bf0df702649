/* What a report says of the model. */
#ifndef REPORT_FACTS_H
#define REPORT_FACTS_H

#include "report.h"

typedef struct {
  const char *name;
  char *text;
} report_fact;

enum { MAX_FACTS = 8 };

typedef struct {
  report_fact facts[MAX_FACTS];
  size_t count;
} report_facts;

mkd_status report_facts_of(report_facts *facts, const report_input *input);
void report_facts_free(report_facts *facts);

/* Where the threshold comes from, as a sentence; the caller frees it. */
char *report_threshold_origin(const mkd_threshold *threshold);

#endif
