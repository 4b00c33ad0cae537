"""Stand-in for Huawei's query script, which we may not ship: the same imports, for one range.

It does less: it reads two of the many options, verifies no certificate, and with a known project id sends one request,
not two.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os

import requests
import urllib3
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer

parser = argparse.ArgumentParser()
parser.add_argument("url")
parser.add_argument("project_id")
parser.add_argument("--last", default="7d")
parser.add_argument("--service-type", type=int, default=2)
args = parser.parse_args()
url = args.url
end = dt.datetime.now(dt.timezone.utc)
start = end - dt.timedelta(days=int(args.last[:-1]))
body = json.dumps(
    {
        "service_type": args.service_type,
        "start_time": int(start.timestamp() * 1000),
        "end_time": int(end.timestamp() * 1000),
    }
)
urllib3.disable_warnings()
request = SdkRequest(
    method="POST",
    schema=url.split(":")[0],
    host=url.split("//")[1],
    resource_path=f"/v1/{args.project_id}/maas/monitoring/show-statistics",
    query_params=[],
    header_params={"Content-Type": "application/json"},
    body=body,
)
Signer(BasicCredentials(os.environ["HW_ACCESS_KEY"], os.environ["HW_SECRET_KEY"])).sign(request)
answer = requests.post(url + request.uri, data=body, headers=request.header_params, verify=False, timeout=30)
answer.raise_for_status()
print(answer.json()["total_token"], answer.json()["total_request_count"])
