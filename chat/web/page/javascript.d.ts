// What the page's JavaScript finds: from Python (chat/web/page/javascript.py), and in Gradio's page.

/** Matches a reference and its number, or a sign that is marked (chat/web/page/escape.py). */
declare const ESCAPED: string;
/** Matches what of a text to be copied is thought (chat/web/page/messages.py). */
declare const COPIED: string;
/** What the page's words are there in, beside English (chat/web/words.py). */
declare const LANGUAGES: string[];
/** What the host calls the page, and what its model is called (chat/web/page/header.py). */
declare const TITLE: string;
declare const MODEL: string;
/** What can be asked, and where (chat/web/page/panel/__init__.py). */
declare const ENDPOINTS: Record<
    "seal" | "rename" | "title" | "names" | "open" | "texts" | "export" | "markdown" | "import" | "running"
    | "attach" | "rate",
    string
>;
/** Most conversations that can be asked about at once. */
declare const MOST_CONVERSATIONS: number;
/** In characters. */
declare const LONGEST_TITLE: number;
/** In bytes. */
declare const LARGEST_IMPORT: number;
/** Of sealed texts that are opened at once, in characters. */
declare const LARGEST_SEARCH: number;
/** In bytes, of what is sent at the end of a turn. */
declare const LARGEST_SETTLE: number;
/** Tokens of the model's window that are kept for a reply at the most. */
declare const KEPT_TOKENS: number;
/** What it is told of the end of a turn that comes when another has begun. */
declare const LATE: string;
/** And of one whose conversation is too long to be sent. */
declare const UNSENT: string;
/** What the controls are called, by their names (chat/core/sampling.py). */
declare const CONTROLS: Record<string, string>;
/** Whether the model gives conversations their titles. */
declare const TITLES: boolean;
/** Whether the host collects what visitors think of replies. */
declare const RATED: boolean;
/** What Enter does where somebody types on a touch screen. */
declare const TOUCH_ENTER: "newline" | "send";
/** With which the page begins. */
declare const SYSTEM_PROMPT: string;

/** The part of the page that a script belongs to. */
declare const element: HTMLElement;
/** Begin an event of the panel's. */
declare function trigger(event: "show" | "come_back"): void;

/** A message as Gradio's Chatbot has it. */
interface Message {
    role: string;
    content: string | {type?: string, text: string}[];
    /** What folds it under a title, if anything does. */
    metadata?: {title?: string | null} | null;
}

/** A conversation from some message on, as the server opens it (chat/core/export.py). */
interface SavedBranch {
    messages: Message[];
    /** How the replies among the rows of messages were made. */
    made: (Made | null)[];
    versions: SavedFork[];
}

/** How a reply was made (chat/core/made.py). */
interface Made {
    model: string;
    ended: "stop" | "length" | "stopped" | "error";
    prompt_tokens: number;
    cached_tokens?: number | null;
    dropped_turns: number;
    tokens: number;
    thought_tokens: number;
    first_token: number;
    seconds: number;
    window: number;
    controls: Record<string, string | number | boolean>;
}

interface SavedFork {
    at: number;
    ways: (SavedBranch | null)[];
}

/** What the page's events have done by the panel; those that change the screen tell it after. */
interface Conversations {
    /** What is to be shown next. */
    shown(): Message[] | undefined;
    /** What the status line is to say of it. */
    about(): string;
    /** The system prompt that goes with it, in place of the one that the settings show. */
    system(set: string): string;
    /** The settings have another one. */
    typed(system: string): void;
    /** A message is about to be sent; return it with the files that come with it. */
    send(message: string): string;
    /** An edited message is about to be sent, in a history that has it already. */
    edit(history: Message[]): void;
    /** The last turn is about to be taken back. */
    undo(): void;
    /** The last turn was taken back. */
    undone(history?: Message[], system?: string): Promise<void> | undefined;
    /** A message is on its way to the screen, and a reply will follow. */
    begin(): void;
    /** A reply that is being written is about to go on here; by its token it is found. */
    come_back(): string | undefined;
    /** The message is there, and by this token its reply is found; without a history it failed. */
    begun(history?: Message[], system?: string, token?: string): Promise<void> | undefined;
    /** Stop was clicked. */
    stop(): void;
    /** The reply has ended, and how Gradio calls that. Returns what the server is told of it. */
    settle(
        ended: "success" | "failure", said: Message[], live: Message[], typed: string, told: string
    ): unknown[];
    /** The conversation is about to be cleared. */
    clear(live: Message[], system: string): void;
    /** All that a reply has come to is there, and how it was made, as JSON; or, with the token of
     * another, that one has begun already. */
    settled(history?: Message[], system?: string, made?: string): Promise<void> | undefined;
    /** It was changed; without a history that failed. */
    changed(
        history?: Message[], system?: string, reply?: string, made?: Made,
    ): Promise<void> | undefined;
    /** Something that was opened is on the screen, or the same in another version. */
    showed(history?: Message[], system?: string): Promise<void> | undefined;
}

interface Window {
    gradio_config: {api_prefix: string, username?: string | null};
    conversations?: Conversations;
    focusMessage(): void;
    /** Mark and keep those of the controls, by their elements, that are not as at first. */
    changedControls(atFirst: Record<string, unknown>, values: unknown[]): void;
    /** Return the values with those in their places that were kept. */
    keptControls(atFirst: Record<string, unknown>, values: unknown[]): unknown[];
    /** Return words of the page in the language of the browser. */
    translate(text: string): string;
    /** Return the text of a message as the server sent it. */
    plainText(text: string): string;
    /** Say what the conversation is called, or what the page is. */
    nameConversation?(name?: string): void;
    /** Follow the conversation to its end, and stay there. */
    toEnd?(): void;
}
