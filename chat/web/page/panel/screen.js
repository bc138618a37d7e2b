// The conversation on the screen: which one it is, when it is saved, and when it may change.

let open = unsaved();
let coming;           // the messages that are to be shown next
let running = false;  // whether a reply is being written
let writing = 0;      // events of the page that are about to change the screen
let saving;           // the promise that the last change is saved

function unsaved() {
    return {id: newId(), seen: said([]), changed: true, turn: 0};
}

/** Return what is said in a history, to compare it. */
function said(history) {
    const text = (content) =>
        typeof content === "string" ? content : content.map((part) => part.text).join("");
    return JSON.stringify(history.map(({role, content}) => [role, text(content)]));
}

/** Wait until what is under way has changed the screen and is saved, unless it is a reply. */
async function calm() {
    for (await saving; writing && !running; await saving)
        await new Promise((resolve) => setTimeout(resolve, 20));
}

/** Wait until nothing changes the screen any more. */
async function quiet() {
    await calm();
    if (running) throw new Problem("A reply is being written. Stop it first, or wait for it.");
}

/** Put a conversation on the screen, at once. */
function show(conversation, messages) {
    open = conversation;
    coming = messages;
    trigger("show");
    session[PREFIX + "open"] = open.id;
    if (!hasRoom()) unfold(false);
    if (!offered()) hush();
    draw();
}

/** Show a saved conversation. */
async function read({id, title, text, sealed}) {
    await quiet();
    const messages = await ask("opened", sealed);
    await quiet();
    show({id, title, text, seen: said(messages), changed: false, turn: 0}, messages);
}

/** Leave the conversation on the screen for an empty one. */
async function leave() {
    await quiet();
    document.activeElement?.blur();  // so that the page gives the cursor to its text box
    show(unsaved(), []);
}

/** Save what is on the screen. */
async function keep(history) {
    const seen = said(history);
    if (seen === open.seen) return;
    // What nobody has gone on with has not changed, so this is something else.
    if (!open.changed) open = unsaved();
    const mine = open;  // another may be opened while the server works
    const turn = ++mine.turn;
    const sealed = await ask("seal", history);
    if (turn !== mine.turn) return;  // there is a later state by now, or it was deleted
    const title = storage[key(mine.id, "title")] ?? mine.title ?? sealed?.title;
    if (storage[key(mine.id, "text")] !== mine.text)  // another tab went on with it
        Object.assign(mine, {id: newId(), text: undefined});  // so this becomes a copy
    if (sealed) {
        const text = `${Date.now()} ${sealed.text}`;
        names.set(sealed.title, sealed.name);
        write({id: mine.id, title, text});
        Object.assign(mine, {title, text, seen});
    } else {
        remove(mine.id);
        Object.assign(mine, {title: undefined, text: undefined, seen});
    }
    if (mine === open) session[PREFIX + "open"] = open.id;
    draw();
}

/** Take a conversation out of the list, and offer it back. */
function discard(id) {
    const gone = saved().find((conversation) => conversation.id === id);
    if (!gone) return;
    remove(id);
    draw();
    say(`Deleted “${gone.name}”.`, "Restore", async () => {
        write(gone);
        draw();
        await read(gone);
    });
}

// What the page's events do before they change the screen, and after (chat/web/page/page.py).
window.conversations = {
    shown: () => coming,
    // A message is on its way to the screen, and a reply will follow.
    begin() {
        hush();
        running = true;
        this.change();
    },
    // The message is there; without a history it failed.
    begun(history) {
        running &&= Boolean(history);
        return this.changed(history);
    },
    // The reply has ended.
    settle() {
        running = false;
        writing++;
    },
    clear() {
        const {id} = open;
        open.turn++;  // drops what is about to be saved
        open = unsaved();
        discard(id);
        this.change();
    },
    change() {
        open.changed = true;
        writing++;
    },
    changed(history) {
        writing--;
        if (history) return saving = attempt(keep)(history);
    },
};
