// Made by scripts/types.mjs from spec/openapi/global-query.yaml.
export type paths = Record<string, never>;
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** @description A query */
        Args: {
            /** Format: uri */
            readonly $schema?: string;
            /**
             * @description Columns to group by, separated by commas: sip, dip, dport, proto, and the labels time, iface, hostname, hostid. Shorthands: talk_conv (sip,dip), talk_src (sip), talk_dst (dip), apps_port (dport,proto), agg_talk_port (sip,dip,dport,proto), raw (everything).
             * @example sip,dip,dport,proto
             */
            query: string;
            /**
             * @description Interfaces: names separated by commas, each with ! in front to leave it out; any for all; a regular expression between slashes
             * @example eth0,eth1
             */
            ifaces: string;
            /**
             * @description Hosts to ask, as the resolver takes them (global-query); site/hostA is hostA below the aggregator site
             * @example hostA,hostB
             */
            query_hosts?: string;
            /**
             * @description What turns query_hosts into hosts (global-query)
             * @example string
             */
            query_hosts_resolver_type?: string;
            /** @description Host that the data comes from */
            hostname?: string;
            /**
             * Format: int64
             * @description ID of the host that the data comes from
             */
            host_id?: number;
            /**
             * @description Which flows count
             * @example dport=443 & proto=tcp
             */
            condition?: string;
            /** @description Only what was received */
            in?: boolean;
            /** @description Only what was sent */
            out?: boolean;
            /** @description Both directions added up */
            sum?: boolean;
            /**
             * @description Begin: a time in one of the usual formats, or how long ago
             * @example -24h
             */
            first?: string;
            /**
             * @description End; now if missing
             * @example 2026-11-24 05:00
             */
            last?: string;
            /**
             * @description Width of the bins where time is a column: auto, or a multiple of five minutes
             * @example 1h
             */
            time_resolution?: string;
            /**
             * @description Format of the output of the command line; the API answers JSON
             * @enum {string}
             */
            format?: "json" | "txt" | "csv";
            /**
             * @default bytes
             * @enum {string}
             */
            sort_by?: "bytes" | "packets";
            /**
             * Format: int64
             * @description Most rows to return
             * @default 1000
             */
            num_results?: number;
            /** @description Smallest first */
            sort_ascending?: boolean;
            dns_resolution?: components["schemas"]["DNSResolution"];
            /**
             * Format: int64
             * @description How much of the memory of the host the query may take
             * @default 60
             */
            max_mem_pct?: number;
            /** @description Take less memory and more time */
            low_mem?: boolean;
            /**
             * Format: int64
             * @description Nanoseconds between keepalive events of a stream
             */
            keepalive?: number;
            /**
             * @description Who asks
             * @example goQuery
             */
            caller?: string;
            /** @description Include the flows that are not written to the database yet */
            live?: boolean;
            /** @description Sum rows over all hosts; none has the labels host and host_id. Beyond v4 */
            sum_hosts?: boolean;
            /** @description Ids of the aggregators that the query came through. Beyond v4 */
            via?: string;
            /**
             * Format: int64
             * @description First rows of the answer to leave out. Beyond v4
             */
            skip_results?: number;
            /**
             * Format: int64
             * @description Leave out rows whose sort value is smaller. Beyond v4
             */
            min_value?: number;
            /**
             * Format: byte
             * @description Only these rows: fingerprints of 8 bytes each. Beyond v4
             */
            only_rows?: string;
            /** @description Add the fingerprints of all rows. Beyond v4 */
            digest?: boolean;
        };
        /** @description The columns that the query groups by */
        Attributes: {
            /**
             * @description Source address
             * @example 10.0.0.1
             */
            sip?: string;
            /**
             * @description Destination address
             * @example 2001:db8::1
             */
            dip?: string;
            /**
             * @description IP protocol
             * @example 6
             */
            proto?: number;
            /**
             * @description Destination port
             * @example 443
             */
            dport?: number;
        };
        /** @description Counters that are zero are left out */
        Counters: {
            /**
             * Format: int64
             * @description Bytes received
             * @example 1024
             */
            br?: number;
            /**
             * Format: int64
             * @description Bytes sent
             * @example 512
             */
            bs?: number;
            /**
             * Format: int64
             * @description Packets received
             * @example 2
             */
            pr?: number;
            /**
             * Format: int64
             * @description Packets sent
             * @example 1
             */
            ps?: number;
        };
        /** @description Names for the addresses of the result */
        DNSResolution: {
            enabled: boolean;
            /**
             * Format: int64
             * @description Nanoseconds for all look-ups
             * @default 1000000000
             */
            timeout?: number;
            /**
             * Format: int64
             * @description How many rows are looked up
             */
            max_rows?: number;
        } | null;
        ErrorDetail: {
            /**
             * @description What is wrong
             * @example expected length >= 2
             */
            message?: string;
            /**
             * @description Where
             * @example body.ifaces
             */
            location?: string;
            /** @description The value there; any JSON */
            value?: unknown;
        };
        /** @description A problem document (RFC 9457) */
        ErrorModel: {
            /** Format: uri */
            readonly $schema?: string;
            /**
             * Format: uri
             * @default about:blank
             */
            type?: string;
            /**
             * @description Reason phrase of the status
             * @example Unprocessable Entity
             */
            title?: string;
            /**
             * Format: int64
             * @example 422
             */
            status?: number;
            /** @example validation failed */
            detail?: string;
            /** Format: uri */
            instance?: string;
            errors?: components["schemas"]["ErrorDetail"][] | null;
        };
        GetInfoOutputBody: {
            /** Format: uri */
            readonly $schema?: string;
            /** @example goprobe */
            name: string;
            /** @example 5.0.0-1a2b3c4d */
            version: string;
            /** @example 1a2b3c4d */
            commit?: string;
            /** @description Name of the Kubernetes pod */
            pod?: string;
        };
        Hits: {
            /**
             * Format: int64
             * @description Rows returned
             */
            displayed: number;
            /**
             * Format: int64
             * @description Rows there are
             */
            total: number;
        };
        /** @description Where and when the flows were seen */
        Labels: {
            /**
             * Format: date-time
             * @description End of the interval
             */
            timestamp?: string;
            /** @example eth0 */
            iface?: string;
            /** @example sensor1 */
            host?: string;
            /** @example 123456 */
            host_id?: string;
        };
        Names: {
            /** Format: uri */
            readonly $schema?: string;
            /** @description Address to name */
            names: {
                [key: string]: string;
            };
        };
        /** @description How far the query is; in partial results and keepalive events. Beyond v4 */
        Progress: {
            /** Format: int64 */
            hosts_total: number;
            /**
             * Format: int64
             * @description Hosts that answered or failed
             */
            hosts_done: number;
            /**
             * Format: int64
             * @description Different rows so far
             */
            rows: number;
            /** Format: int64 */
            elapsed_ns: number;
        };
        /** @description The query that was run */
        Query: {
            /**
             * @description Columns grouped by
             * @example [
             *       "sip",
             *       "dip"
             *     ]
             */
            attributes: string[] | null;
            /**
             * @description The condition, as it was understood
             * @example (dport = 443 & proto = 6)
             */
            condition?: string;
        };
        /** @description The answer to a query */
        Result: {
            /** Format: uri */
            readonly $schema?: string;
            /**
             * @description Host that answers
             * @example sensor1
             */
            hostname?: string;
            status: components["schemas"]["Status"];
            /** @description How it went on every host that was asked */
            hosts_statuses: {
                [key: string]: components["schemas"]["Status"];
            };
            summary: components["schemas"]["Summary"];
            query: components["schemas"]["Query"];
            rows: components["schemas"]["Row"][] | null;
            /**
             * Format: byte
             * @description Fingerprints of all rows, 8 bytes each; where the query asked for it. Beyond v4
             */
            digest?: string;
            progress?: components["schemas"]["Progress"];
        };
        Row: {
            labels?: components["schemas"]["Labels"];
            attributes: components["schemas"]["Attributes"];
            counters: components["schemas"]["Counters"];
        };
        /** @description What the database did for the query */
        Stats: {
            /** Format: int64 */
            bytes_loaded: number;
            /** Format: int64 */
            bytes_decompressed: number;
            /** Format: int64 */
            blocks_processed: number;
            /**
             * Format: int64
             * @description Blocks that could not be read and are missing in the answer
             */
            blocks_corrupted: number;
            /** Format: int64 */
            directories_processed: number;
            /** Format: int64 */
            workloads: number;
        };
        Status: {
            /**
             * @example ok
             * @enum {string}
             */
            code: "ok" | "empty" | "missing data" | "too many requests" | "error";
            /**
             * @description More about it
             * @example cannot connect to '10.0.0.7:8145': Connection refused
             */
            message?: string;
            /**
             * @description The name for query_hosts of global-query that asks only this host, where that is not its name here, which is the host's own: the name of the endpoint, and of a host below another aggregator, "endpoint/name". Beyond v4
             * @example here
             */
            endpoint?: string;
        };
        Summary: {
            /**
             * @description Interfaces that were queried
             * @example [
             *       "eth0"
             *     ]
             */
            interfaces: string[] | null;
            /**
             * Format: date-time
             * @description Begin of the queried interval
             */
            time_first: string;
            /**
             * Format: date-time
             * @description End of the queried interval
             */
            time_last: string;
            totals: components["schemas"]["Counters"];
            timings: components["schemas"]["Timings"];
            hits: components["schemas"]["Hits"];
            /** @description Whether there was anything to query */
            data_available: boolean;
            stats?: components["schemas"]["Stats"];
        };
        Timings: {
            /** Format: date-time */
            query_start: string;
            /**
             * Format: int64
             * @description Nanoseconds
             */
            query_duration_ns: number;
            /**
             * Format: int64
             * @description Nanoseconds that names of addresses took
             */
            resolution?: number;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export type operations = Record<string, never>;
