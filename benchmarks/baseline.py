"""Baseline: the SDK's full client queries one range. With a known project id it sends one request, not two."""

from __future__ import annotations

import os
import sys
import time

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.client import Client, ClientBuilder
from huaweicloudsdkcore.http.http_config import HttpConfig
from huaweicloudsdkcore.region.region import Region
from huaweicloudsdkcore.sdk_response import SdkResponse

DAY = 86_400_000


class Statistics(SdkResponse):
    """The response's model, as the SDK generates it."""

    openapi_types = {"total_token": "float", "total_request_count": "int"}  # noqa: RUF012 - the SDK's own form
    attribute_map = {"total_token": "total_token", "total_request_count": "total_request_count"}  # noqa: RUF012

    def __init__(self, total_token: float = 0, total_request_count: int = 0) -> None:
        super().__init__()
        self.total_token = total_token
        self.total_request_count = total_request_count


class MaasClient(Client):
    """The client, as the SDK generates it."""

    def __init__(self) -> None:
        super().__init__()
        self.model_package = sys.modules[__name__]


url, project_id = sys.argv[1:]
credentials = BasicCredentials(os.environ["HW_ACCESS_KEY"], os.environ["HW_SECRET_KEY"], project_id)
client = (
    ClientBuilder(MaasClient)
    .with_http_config(HttpConfig.get_default_config())
    .with_credentials(credentials)
    .with_region(Region("cn-southwest-2", url))
    .build()
)
now = int(time.time() * 1000)
answer = client.do_http_request(
    method="POST",
    resource_path="/v1/{project_id}/maas/monitoring/show-statistics",
    path_params={"project_id": project_id},
    query_params=[],
    header_params={"Content-Type": "application/json"},
    body={"service_type": 2, "start_time": now - 7 * DAY, "end_time": now},
    post_params={},
    collection_formats={},
    response_type="Statistics",
)
print(answer.total_token, answer.total_request_count)
