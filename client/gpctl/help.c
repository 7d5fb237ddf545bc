#include "client/gpctl/gpctl.h"

static const char root_text[] = "gpctl shows and changes what a running goprobe captures.\n"
                                "\n"
                                "Usage:\n"
                                "  gpctl [command]\n"
                                "\n"
                                "Available Commands:\n"
                                "  completion  Print a script with which bash, zsh or fish completes\n"
                                "  config      Get or update goprobe's runtime configuration\n"
                                "  help        Help about any command\n"
                                "  log-level   Show or set the level of the log\n"
                                "  status      Show capture status\n"
                                "  version     Print version\n"
                                "\n";

static const char status_text[] =
    "Show capture status: packets received, processed and dropped, in total and (+) since the last\n"
    "writeout. Without interfaces all of them are shown.\n"
    "\n"
    "Usage:\n"
    "  gpctl status [IFACES] [flags]\n"
    "\n"
    "Examples:\n"
    "  gpctl status -s localhost:8145\n"
    "  gpctl status -v eth0 eth1 -s unix:/run/goprobe.sock\n"
    "  gpctl status --endpoints /etc/goprobe/endpoints.yaml      every host of a fleet, a line for each\n"
    "\n"
    "Flags:\n"
    "  -v, --detailed   print extended interface statistics (packet parsing errors)\n"
    "  -h, --help       help for status\n"
    "\n";

static const char config_text[] =
    "Get or update goprobe's runtime configuration. Without interfaces all of them are shown. --file and\n"
    "--reload change the configuration, exclude each other, and take no interfaces.\n"
    "\n"
    "Usage:\n"
    "  gpctl config [IFACES] [flags]\n"
    "\n"
    "Examples:\n"
    "  gpctl config -s localhost:8145\n"
    "  gpctl config -f /etc/goprobe/new.yaml -s localhost:8145   send the interfaces of a file\n"
    "  gpctl config --reload -s localhost:8145                   let goprobe read its own file again\n"
    "  gpctl config --reload -s web1:8145,web2:8145              on two hosts at once\n"
    "\n"
    "Flags:\n"
    "  -f, --file string   apply config file to goprobe's runtime configuration\n"
    "  -h, --help          help for config\n"
    "  -r, --reload        reload on-disk config file and apply it to goprobe's runtime configuration\n"
    "      --silent        don't output interface changes after update\n"
    "\n";

static const char log_level_text[] = "Show or set the level of goprobe's (or global-query's) log until it "
                                     "restarts: debug, info, warn or error.\n"
                                     "\n"
                                     "Usage:\n"
                                     "  gpctl log-level [LEVEL] [flags]\n"
                                     "\n"
                                     "Examples:\n"
                                     "  gpctl log-level -s localhost:8145\n"
                                     "  gpctl log-level debug -s localhost:8145\n"
                                     "\n";

static const char completion_text[] =
    "Print a script with which a shell completes the command line of gpctl.\n"
    "\n"
    "Usage:\n"
    "  gpctl completion bash|zsh|fish\n"
    "\n"
    "Examples:\n"
    "  source <(gpctl completion bash)\n"
    "\n";

static const char version_text[] = "Print version\n"
                                   "\n"
                                   "Usage:\n"
                                   "  gpctl version\n"
                                   "\n"
                                   "Examples:\n"
                                   "  gpctl version\n"
                                   "\n";

static const char global_text[] =
    "Global Flags:\n"
    "      --config string        config file (default \"~/.gpctl.yaml\")\n"
    "  -s, --server.addr string   server address of goprobe's API: host:port, http(s)://host:port or\n"
    "                             unix:/path; several, separated by commas, are asked in parallel and shown\n"
    "                             in one table with a line for each\n"
    "      --endpoints FILE       ask all hosts of a file, the one that global-query has as querier.config\n"
    "  -q, --hosts string         of that file only these hosts, separated by commas\n"
    "      --format string        txt (default), json or csv\n"
    "  -t, --timeout duration     request timeout / deadline for goprobe's API (default 10s)\n"
    "      --tls.ca string        with https: PEM file of the CA to trust (default: the system's)\n"
    "      --tls.cert string      with https: PEM file of our certificate, where goprobe asks for one\n"
    "      --tls.key string       its key (default: in the same file)\n"
    "      --token.file string    file with the token to send\n"
    "\n"
    "Environment:\n"
    "  GPCTL_SERVER_ADDR, GPCTL_TIMEOUT   stand in for flags that are not given, as do SERVER.ADDR and "
    "TIMEOUT\n"
    "  GPCTL_TOKEN                        the token itself; GPCTL_TOKEN_FILE, GPCTL_TLS_CA, "
    "GPCTL_TLS_CERT and\n"
    "                                     GPCTL_TLS_KEY stand in for those flags\n"
    "  NO_COLOR                           no colours, on a terminal neither\n";

void help_print(FILE *out, command cmd)
{
    static const char *const texts[] = {[CMD_NONE] = root_text,
                                        [CMD_STATUS] = status_text,
                                        [CMD_CONFIG] = config_text,
                                        [CMD_LOG_LEVEL] = log_level_text,
                                        [CMD_COMPLETION] = completion_text,
                                        [CMD_VERSION] = version_text,
                                        [CMD_HELP] = root_text};
    fputs(texts[cmd], out);
    fputs(global_text, out);
    if (cmd == CMD_NONE || cmd == CMD_HELP)
        fputs("\nUse \"gpctl [command] --help\" for more information about a command.\n", out);
}
