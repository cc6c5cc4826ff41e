/* Process 1 of a container (pid_namespaces(7)) has duties: whoever loses its parent becomes its child and must be waited
 * for, and no signal's default ends it. No command here shall have them, least of all a server, whose library waits for
 * its own children only. */
#ifndef INIT_H
#define INIT_H

/* Returns at once where we are not process 1. As process 1 it forks: the child returns, and goes on as the command, in a
 * process group of its own; process 1 sends it the signals that it gets, reaps whatever ends, and exits as the child
 * does, with 128 and the signal where one has ended that. name: for the sentence, if it cannot fork. */
void init_become(const char *name);

#endif
