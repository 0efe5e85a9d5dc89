"""Makes calls with the anthropic package's clients for cloud platforms and prints the outcome of each.

    clouds.py < calls > outcomes

A call is one line of JSON. `client` is the name of a class in the package. `arguments` are the arguments of its
constructor; `azure_ad_token` becomes an `azure_ad_token_provider` that returns this token. `parameters` are the
parameters of `client.beta.messages`, including `betas`; with `"stream": true` the whole stream is read.

An outcome is one line of JSON: `{"message": …}` or `{"error": …}`.
"""

import json
import sys

import anthropic


def client_of(call: dict) -> anthropic.Anthropic:
    arguments = dict(call["arguments"])
    token = arguments.pop("azure_ad_token", None)
    if token is not None:
        arguments["azure_ad_token_provider"] = lambda: token
    return getattr(anthropic, call["client"])(max_retries=0, timeout=30.0, **arguments)


def make(call: dict) -> dict[str, object]:
    parameters = dict(call["parameters"])
    messages = client_of(call).beta.messages
    if not parameters.pop("stream", False):
        return {"message": messages.create(**parameters).to_dict(mode="json")}
    with messages.stream(**parameters) as stream:
        return {"message": stream.get_final_message().to_dict(mode="json")}


def main() -> None:
    for line in sys.stdin:
        try:
            outcome = make(json.loads(line))
        except Exception as error:  # also exceptions of other packages
            outcome = {"error": repr(error)}
        print(json.dumps(outcome), flush=True)


if __name__ == "__main__":
    main()
