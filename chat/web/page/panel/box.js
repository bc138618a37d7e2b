// @ts-check
// The search box: what is typed there is looked for at once in titles, and then in what was said.

const box = /** @type {HTMLInputElement} */ (find("[type=search]"));
const count = find(".count");

/** Milliseconds in which somebody may go on typing. */
const TYPING = 100;
/** @type {number | undefined} */
let typing;

const look = attempt(async () => {
    clearTimeout(typing);
    const reading = wordsOf(box.value).length ? openTexts(draw) : undefined;
    draw();
    try {
        await reading;
    } finally {
        if (reading) draw();
    }
});

/** Look for nothing any more. */
function clearSearch() {
    box.value = "";
    return look();
}

/**
 * Say how many conversations are found.
 * @param {number} number
 */
function tellFound(number) {
    const found = number > 1 ? `${number} conversations found.` : "1 conversation found.";
    const text = opening ? "Searching…" : number ? found : "Nothing found.";
    if (count.textContent !== text) count.textContent = text;  // which is read aloud
}

box.oninput = () => {
    clearTimeout(typing);
    typing = setTimeout(look, TYPING);
};
box.onkeydown = (event) => {
    if (event.key !== "Escape" || event.isComposing || !box.value) return;
    event.preventDefault();
    clearSearch();
};
