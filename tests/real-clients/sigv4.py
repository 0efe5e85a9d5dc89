"""Signs requests with botocore, to compare the signatures with those of another implementation.

    sigv4.py < requests > signatures

A request is one line of JSON: `method`, `url`, `headers` (the headers to sign, without the date and the token), `body`
in base64, `access_key`, `secret_key`, `token` or null, `region`, `service`, and `date`, the value of `x-amz-date`. A
signature is one line of JSON: the expected value of `authorization`, as a string.
"""

import base64
import datetime
import json
import sys
from unittest import mock

from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


def sign(call: dict) -> str:
    request = AWSRequest(
        method=call["method"],
        url=call["url"],
        headers=call["headers"],
        data=base64.b64decode(call["body"]),
    )
    credentials = Credentials(call["access_key"], call["secret_key"], call["token"])
    date = datetime.datetime.strptime(call["date"], SIGV4_TIMESTAMP)
    with mock.patch("botocore.auth.get_current_datetime", return_value=date):
        SigV4Auth(credentials, call["service"], call["region"]).add_auth(request)
    return request.headers["Authorization"]


def main() -> None:
    for line in sys.stdin:
        print(json.dumps(sign(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
