"""The script's way: what Huawei's own query script imports, to ask one range. It verifies no certificate.

The script itself is not ours to ship. This is less: the project id is given, so it sends one request, not two.
"""

from __future__ import annotations

import json
import os
import sys
import time

import requests
import urllib3
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer

DAY = 86_400_000

urllib3.disable_warnings()
url, project_id = sys.argv[1:]
now = int(time.time() * 1000)
body = json.dumps({"service_type": 2, "start_time": now - 7 * DAY, "end_time": now})
request = SdkRequest(
    method="POST",
    schema=url.split(":")[0],
    host=url.split("//")[1],
    resource_path=f"/v1/{project_id}/maas/monitoring/show-statistics",
    query_params=[],
    header_params={"Content-Type": "application/json"},
    body=body,
)
Signer(BasicCredentials(os.environ["HW_ACCESS_KEY"], os.environ["HW_SECRET_KEY"])).sign(request)
answer = requests.post(url + request.uri, data=body, headers=request.header_params, verify=False, timeout=30)
answer.raise_for_status()
print(answer.json()["total_token"], answer.json()["total_request_count"])
