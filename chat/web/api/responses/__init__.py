"""OpenAI's Responses API: a conversation as items, of which the server keeps what was said.

    POST   /v1/responses                    the next items of a conversation
    GET    /v1/responses/{id}               a response that is kept
    DELETE /v1/responses/{id}               forgets it
    GET    /v1/responses/{id}/input_items   what it answered

`items` and `shapes` are what is asked, `writer` writes what comes of it, `stored` is where it
stays for a while, and `endpoint` has the addresses.
"""
