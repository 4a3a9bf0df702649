/* Finished units in a folder, one small JSON file each, so that a command can go on where it was
 * stopped. command.json tells which command they belong to. */
#ifndef STATE_H
#define STATE_H

#include "experiment.h"

#include <stdio.h>

/* Makes the folder, or checks that it belongs to the same experiment: the same data, recipe,
 * settings, expert and ablation; classes and seeds may differ. */
mkd_status state_open(const char *folder, const experiment *e);

mkd_status state_load(const char *folder, const unit_name *name, const experiment *e,
                      unit_result *result, bool *found);
mkd_status state_save(const char *folder, const unit_name *name, const unit_result *result);

/* A unit as a JSON object. */
void state_write_unit(FILE *file, const unit_name *name, const unit_result *result);

#endif
