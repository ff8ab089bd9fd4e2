/* What changed, for who listens; nothing is put together when nobody does. */
#include "cse/cse_priv.h"

static bst_result representation(struct bst_cse_op *op, struct bst_cse_res *res,
                                 struct bst_view *ret)
{
    struct bst_buf text = {0};
    bst_result r = bst_cse_represent(op, res, &text);
    if (!bst_failed(r)) {
        *ret = bst_arena_view(op->arena, bst_buf_view(&text));
        r = ret->ptr ? BST_OK : bst_error(BST_E_NOMEM);
    }
    bst_buf_clear(&text);
    return r;
}

bst_result bst_cse_event_add(struct bst_cse_op *op, enum bst_cse_event_kind kind,
                             struct bst_cse_res *res, struct bst_view before,
                             struct bst_view modified)
{
    if (!op->cse->config.events) {
        return BST_OK;
    }
    struct bst_cse_event *event = bst_arena_alloc(op->arena, sizeof *event);
    BST_ENSURE(event, BST_E_NOMEM);
    event->kind = kind;
    event->ty = res->row.ty;
    event->id = res->row.id;
    event->parent = res->row.pi;
    event->creator = res->row.cr;
    event->root = bst_cse_root(res);
    event->before = before;
    event->modified = modified;
    event->originator = op->req ? op->req->fr : (struct bst_view){0};
    bool gone = kind == BST_CSE_EVENT_DELETE || kind == BST_CSE_EVENT_CHILD_DELETE;
    BST_TRY(representation(op, res, gone ? &event->before : &event->after));
    if (!op->events_tail) {
        op->events_tail = &op->events;
    }
    *op->events_tail = event;
    op->events_tail = &event->next;
    return BST_OK;
}
