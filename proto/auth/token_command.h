/*
 * token_command.h - the command "token" of goprobe and global-query:
 *
 *   goprobe token new NAME --file FILE [--scopes query,control] [--group GROUP]
 *     prints the token, keeps its hash in FILE, which GROUP may read
 *   goprobe token list --file FILE
 *   goprobe token remove NAME --file FILE
 */
#ifndef GP_AUTH_TOKEN_COMMAND_H
#define GP_AUTH_TOKEN_COMMAND_H

/* argv[0] is "token". Exit status: 0, 1 if it could not be done, 2 for wrong usage. */
int gp_token_command(const char *program, int argc, char **argv);

#endif
