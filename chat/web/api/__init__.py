"""OpenAI's API beside the page, on the same port: the chat for programs written for it.

    GET  /v1/models               the one model there is, and with each of its adapters
    GET  /v1/models/{id}          the same, by its name
    POST /v1/chat/completions     the next message of a conversation
    POST /v1/completions          what follows a text, as a base model continues it
    POST /v1/responses            the same as items, and what is kept of them (see `responses`)
    POST /v1/messages             Anthropic's Messages API (see `anthropic`)
    POST /v1/tokenize, /tokenize  the ids that the model would read, and the same backwards
    GET  /v1/openapi.json         all of this described, from the shapes themselves

`routes` has an app for each. `request` reads what is asked, in the `shapes` that there are;
`endpoint` has `Chat.reply` answer it; `reply`, `events` and `errors` write what comes of it. What
is accepted beside what is offered, and why, is in `fields`. A stream that is kept goes on where
its client left it (`streams`).
"""
