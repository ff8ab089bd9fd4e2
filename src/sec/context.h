/* Contexts of an access control rule: when, from which address, where.
 * TS-0003 7.1.3, TS-0004 7.4.9.1 (time patterns), TS-0001 9.6.2.2. */
#pragma once

#include "base/text.h"
#include "base/time.h"

/** A time pattern of seven fields: second minute hour day month weekday year, all UTC. */
struct bst_crontab {
    uint64_t second, minute;
    uint32_t hour, day; /* day: bit 1..31 */
    uint16_t month;     /* bit 1..12 */
    uint8_t weekday;    /* bit 0 = Sunday */
    uint8_t n_years;
    struct bst_year_range {
        uint16_t from, to, step;
    } years[8]; /* none: every year */
};
/** @error BST_E_SYNTAX, BST_E_VALUE; the detail names field and column
 *  @clause TS-0004 V3.32, 7.4.9.1 */
bst_result bst_crontab_parse(struct bst_view text, struct bst_crontab *ret);
bool bst_crontab_match(const struct bst_crontab *pattern, const struct bst_calendar *at);

struct bst_ip {
    uint8_t family; /* 0 unknown, 4, 6; an IPv4 address mapped into IPv6 becomes 4 */
    uint8_t bytes[16];
};
/** Numeric address; a port or brackets or a zone are not accepted. */
bst_result bst_ip_parse(struct bst_view text, struct bst_ip *ret);

struct bst_cidr {
    struct bst_ip ip;
    uint8_t bits;
};
/** `family` 4 or 6; without a suffix the whole address counts. */
bst_result bst_cidr_parse(struct bst_view text, uint8_t family, struct bst_cidr *ret);
bool bst_cidr_match(const struct bst_cidr *net, const struct bst_ip *ip);

/** Where the originator is. */
struct bst_location {
    bool has_point;
    double latitude, longitude; /* degrees */
    char country[3];            /* ISO 3166 two letters, "" unknown */
};
struct bst_region {
    bool circle;
    double latitude, longitude, radius_m;
    char country[3];
};
/** Great-circle distance in metres on the mean sphere. */
double bst_geo_distance_m(double lat1, double lon1, double lat2, double lon2);
bool bst_region_match(const struct bst_region *region, const struct bst_location *at);
