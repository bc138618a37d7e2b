"""Our engines as a server: token ids in and token ids out, for front-ends that are elsewhere.

    GET  /v1/models         the model, how much it reads, and what its engine can do
    POST /v1/completions    what follows some ids, as ids
    GET  /health            whether it can answer
    GET  /live              whether it is there

The dialect is that of vLLM's server (`return_token_ids`), with few fields of our own; what is not
known is refused by name, since a control that is ignored makes another reply. There are no prompt
formats here and no texts but one, with which a front-end proves that its tokenizer is ours.
"""
