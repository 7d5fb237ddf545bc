/*
 * page.h - serves the web page: GET / and GET /page/{file}, from memory.
 *
 * Files carry a strong ETag (RFC 9110, 8.8.3) and are to be revalidated each time, so that a page never runs
 * with the files of another version; that costs a 304. Compressed forms are made once, at the start. The page
 * may load and call only what comes from where it came from (Content Security Policy Level 3).
 *
 * Ownership: the gp_page must outlive the server that has its routes. Thread-safety: only read once made.
 */
#ifndef GP_PAGE_PAGE_H
#define GP_PAGE_PAGE_H

#include "proto/http/server.h"

typedef struct gp_page gp_page;

gp_code gp_page_new(gp_page **out, gp_error *err);
void gp_page_free(gp_page *page);

/* Writes GP_PAGE_ROUTES entries. Open to anybody: they tell nothing of flows, and who has
 * no token yet must be able to load the page that asks for it. */
enum { GP_PAGE_ROUTES = 2 };
void gp_page_routes(gp_page *page, gp_http_route *routes);

#endif
