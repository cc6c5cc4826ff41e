/* The subcommands of `switchboard`. Each gets argv[0] = "switchboard NAME" and returns the exit status:
 * 0 done, 1 failed, 2 misused. */
#ifndef COMMANDS_H
#define COMMANDS_H

int serve_main(int argc, char **argv);
int list_main(int argc, char **argv);
int new_main(int argc, char **argv);
int switch_main(int argc, char **argv);
int reload_main(int argc, char **argv);
int stop_main(int argc, char **argv);

#endif
