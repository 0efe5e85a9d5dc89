"""Makes calls with the anthropic package and prints the outcome of each.

    sdk.py BASE_URL API_KEY < calls > outcomes

A call is one line of JSON. `method` is "create", "stream" or "count_tokens". `model` is the model of the request, by
which a scripted upstream can distinguish calls. `max_retries` defaults to 0.

An outcome is one line of JSON: `{"message": …}`, `{"input_tokens": …}`, or `{"error": {…}}` with the class of the
exception, its text, status, body and request id. For a stream `text` is the text that arrived, also before an error.
"""

import json
import sys

import anthropic


def main() -> None:
    base_url, api_key = sys.argv[1:]
    for line in sys.stdin:
        call = json.loads(line)
        client = anthropic.Anthropic(
            base_url=base_url,
            api_key=api_key,
            max_retries=call.get("max_retries", 0),
            timeout=30.0,
        )
        outcome: dict[str, object] = {}
        try:
            make(client, call, outcome)
        except anthropic.AnthropicError as error:
            outcome["error"] = describe(error)
        except Exception as error:  # a truncated stream raises an exception of another package
            outcome["error"] = describe(error)
        print(json.dumps(outcome), flush=True)


def make(client: anthropic.Anthropic, call: dict[str, str], outcome: dict[str, object]) -> None:
    messages = [{"role": "user", "content": "Grüße 🚀"}]
    if call["method"] == "count_tokens":
        counted = client.messages.count_tokens(model=call["model"], messages=messages)
        outcome["input_tokens"] = counted.input_tokens
    elif call["method"] == "create":
        message = client.messages.create(model=call["model"], max_tokens=64, messages=messages)
        outcome["message"] = message.to_dict(mode="json")
        outcome["request_id"] = message._request_id
    elif call["method"] == "stream":
        outcome["text"] = ""
        with client.messages.stream(model=call["model"], max_tokens=64, messages=messages) as stream:
            for text in stream.text_stream:
                outcome["text"] += text
            outcome["message"] = stream.get_final_message().to_dict(mode="json")
            outcome["request_id"] = stream.request_id
    else:
        raise ValueError(call["method"])


def describe(error: Exception) -> dict[str, object]:
    return {
        "class": f"{type(error).__module__.split('.')[0]}.{type(error).__name__}",
        "text": str(error),
        "status": getattr(error, "status_code", None),
        "type": getattr(error, "type", None),
        "body": getattr(error, "body", None),
        "request_id": getattr(error, "request_id", None),
    }


if __name__ == "__main__":
    main()
