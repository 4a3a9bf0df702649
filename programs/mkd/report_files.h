/* The files of the folder report/, compiled in. */
#ifndef REPORT_FILES_H
#define REPORT_FILES_H

extern const char report_page[], report_style[], report_script[];

#endif
