/* protocols.h - IP protocol numbers (IANA) and the names goProbe v4 prints and accepts for them. */
#ifndef GP_QUERY_PROTOCOLS_H
#define GP_QUERY_PROTOCOLS_H

#include <stdbool.h>
#include <stdint.h>

/* "TCP", "UDP", ...; "UNKNOWN" for 255 and "" for a number without a name, as v4. Static string. */
const char *gp_protocol_name(uint8_t proto);
/* Case-insensitive; false if the name is unknown. */
bool gp_protocol_number(const char *name, uint8_t *out);

#endif
