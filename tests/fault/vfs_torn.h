/* A SQLite VFS over a disk in memory that can lose power.
 *
 * What was written and not synced is kept apart. When the power goes, each such write is lost,
 * kept, or torn at 512-byte sectors, independently of the order in which they were made; so are
 * truncations and new names. A failed fsync behaves as Linux file systems do: the data stays
 * visible, counts as clean, and a later fsync of the same file does not bring it to the disk. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define TORN_VFS "torn"

/* Counted from torn_arm(); 0: never. */
struct torn_faults {
    long power_off_at; /* n-th write, truncation, sync or deletion; everything fails from then on */
    long write_fails_at; /* n-th write or truncation, once */
    int write_error;     /* SQLITE_IOERR_WRITE or SQLITE_FULL */
    long sync_fails_at;  /* n-th sync, once */
};

void torn_register(void);
/** An empty disk, power on, no faults. Nothing may be open. */
void torn_reset(void);
void torn_arm(const struct torn_faults *faults);
/** Counts since torn_arm(): operations of all kinds, writes, syncs. */
long torn_operations(void);
long torn_writes(void);
long torn_syncs(void);
bool torn_is_off(void);
/** Power comes back; the seed decides what happened to unsynced data. Nothing may be open. No
 * faults. */
void torn_power_on(uint64_t seed);
