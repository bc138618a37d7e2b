"""The process in which OpenVINO's settings are tried for a model, with a few typical replies.

It gets `Tries`, sends the settings with which it has loaded the model, and then what came of
each, round after round: so that what else the machine does meets all of them alike.
"""

import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any

import openvino as ov
import openvino_genai as genai

from chat.engines.openvino.wire import BLOCK, ROUNDS, STEP_TOKENS, Timed, Tries
from chat.engines.process import on_pipe

#: Replies at once, and the tokens of each.
MANY, TOKENS = 8, 24
#: What is said before a reply.
ASKED = "You are a helpful assistant. Tell a long story about {}, with at least five paragraphs."
ABOUT = (
    "a fox",
    "a baker",
    "two sisters",
    "a clock",
    "a pilot",
    "an old sailor",
    "a robot",
    "rain",
)
#: So many cores are left to the server, if there are others.
LEFT = 1

PRECISION, THREADS = "INFERENCE_PRECISION_HINT", "INFERENCE_NUM_THREADS"


def candidates(
    capabilities: Sequence[str], cores: int, fixed: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return the settings to try, OpenVINO's own first.

    Of those that it has, the others change what a token costs by less than two runs differ, or
    what it is. Where a processor has bfloat16, OpenVINO computes in it, which is right for long
    prompts, and not always for single tokens.
    """
    precisions: list[dict[str, Any]] = [{}]
    if "BF16" in capabilities and PRECISION not in fixed:
        precisions.append({PRECISION: "f32"})
    threads: list[dict[str, Any]] = [{}]
    if cores > 3 * LEFT and THREADS not in fixed:
        threads.append({THREADS: cores - LEFT})
    return [{**one, **other} for other in threads for one in precisions]


def main(connection: Connection) -> None:
    """Try what is there to try, and end."""
    tries: Tries = connection.recv()
    begun = time.monotonic()
    tokenizer = genai.Tokenizer(tries.folder)
    prompts = [tokenizer.encode(ASKED.format(what)).input_ids for what in ABOUT[:MANY]]
    capabilities = ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    choice = candidates(capabilities, tries.cores, tries.fixed)
    loaded: list[dict[str, Any]] = []
    pipelines = []
    for chosen in choice:
        if len(choice) > 1 and time.monotonic() - begun < tries.loading:
            pipeline = _pipeline(tries.folder, tokenizer, {**tries.fixed, **chosen})
            _write(pipeline, prompts)  # first steps take many times as long
            pipelines.append(pipeline)
            loaded.append(chosen)
    connection.send(loaded)
    for _ in range(ROUNDS):
        for place, pipeline in enumerate(pipelines):
            one, _ = _write(pipeline, prompts[:1])
            many, replies = _write(pipeline, prompts)
            connection.send(Timed(place, TOKENS / one, MANY * TOKENS / many, replies))


def _pipeline(folder: str, tokenizer: Any, properties: Mapping[str, Any]) -> Any:
    scheduling = genai.SchedulerConfig()
    scheduling.num_kv_blocks = MANY * (256 + TOKENS) // BLOCK
    scheduling.max_num_batched_tokens = STEP_TOKENS
    scheduling.enable_prefix_caching = False
    return genai.ContinuousBatchingPipeline(folder, tokenizer, scheduling, "CPU", **properties)


def _write(pipeline: Any, prompts: Sequence[Any]) -> tuple[float, list[list[tuple[int, float]]]]:
    """Write a reply to each prompt at once; return the seconds, and the replies."""
    config = genai.GenerationConfig(max_new_tokens=TOKENS, min_new_tokens=TOKENS, logprobs=1)
    begun = time.perf_counter()
    handles = [
        pipeline.add_request(number, prompt, config) for number, prompt in enumerate(prompts)
    ]
    replies: list[list[tuple[int, float]]] = [[] for _ in handles]
    while pipeline.has_non_finished_requests():
        pipeline.step()
    seconds = time.perf_counter() - begun
    for reply, handle in zip(replies, handles, strict=True):
        while handle.can_read():
            for output in handle.read().values():
                pairs = zip(output.generated_ids, output.generated_log_probs, strict=True)
                reply += pairs
    return seconds, replies


if __name__ == "__main__":
    # Whatever a model's files led OpenVINO to is said once it is loaded.
    on_pipe(main, lambda _: "Settings could not be tried.")
