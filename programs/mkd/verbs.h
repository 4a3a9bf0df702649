/* Each verb parses its own command line (argv[0] is the verb) and returns the exit status. */
#ifndef VERBS_H
#define VERBS_H

int verb_train(int argc, char **argv);
int verb_score(int argc, char **argv);
int verb_eval(int argc, char **argv);
int verb_calibrate(int argc, char **argv);
int verb_import(int argc, char **argv);
int verb_info(int argc, char **argv);
int verb_reproduce(int argc, char **argv);
int verb_bench(int argc, char **argv);
int verb_demo_data(int argc, char **argv);

#endif
