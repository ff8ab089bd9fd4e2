/* The socket of systemd-journald: log entries with fields. */
#pragma once

#include "base/text.h"

/** True when standard error is connected to journald (JOURNAL_STREAM names it). */
bool bst_journal_is_stderr(void);
/** Send one entry in the native protocol; false when it could not be sent. Never waits. @thread any
 */
bool bst_journal_send(struct bst_view entry);
/** Write bytes to standard error, as far as it takes them. @thread any */
void bst_stderr_write(struct bst_view bytes);
