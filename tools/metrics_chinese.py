"""The catalogue's descriptions and units in Chinese, for docs/zh-CN/metrics.md."""

from __future__ import annotations

from typing import Dict

from maas_usage_check.metrics import NO_CACHED_SHARE

UNITS = {
    "request": "次",
    "query": "个",
    "error": "次",
    "task": "个",
    "fraction": "比例",
    "second": "秒",
    "hour": "小时",
}
DESCRIPTIONS: Dict[str, str] = {
    "Tokens used in the range, as the console counts them.": "该时间范围的总 Tokens 数，口径与控制台一致。",
    "Tokens sent to the models in the range.": "该时间范围的输入 Tokens 数。",
    "Tokens that the models returned in the range.": "该时间范围的输出 Tokens 数。",
    "Calls in the range.": "该时间范围的调用次数。",
    "Calls in the range that failed.": "该时间范围的调用失败次数。",
    "Batch tasks completed in the range, where the cloud reports them.": (
        "该时间范围完成的批量推理任务数，云端返回时才有。"
    ),
    "Inferences of batch tasks in the range, where the cloud reports them.": (
        "该时间范围批量任务的推理次数，云端返回时才有。"
    ),
    "Errors divided by requests, 0 to 1; 0 without requests; not emitted where errors exceed requests.": (
        "失败次数除以调用次数，0 至 1；没有调用时为 0；失败次数多于调用次数时不给出。"
    ),
    "Share of the range's past that the cloud still stores, 0 to 1.": (
        "该时间范围已过去的部分中，云端仍保存的比例，0 至 1。"
    ),
    "Tokens used in the hour that begins at the point's time.": "从数据点时间开始的那个小时的总 Tokens 数。",
    "Tokens sent to the models in the hour.": "该小时的输入 Tokens 数。",
    "Tokens that the models returned in the hour.": "该小时的输出 Tokens 数。",
    "Calls in the hour.": "该小时的调用次数。",
    "Calls in the hour that failed.": "该小时的调用失败次数。",
    "1 once the hour ended 3 hours ago and was queried since, else 0.": (
        "该小时结束满 3 小时、并在此之后查询过，为 1；否则为 0。"
    ),
    "1 once the hour ended 30 minutes ago and was queried since, else 0.": (
        "该小时结束满 30 分钟、并在此之后查询过，为 1；否则为 0。"
    ),
    "Calls of the minute.": "该分钟的调用次数。",
    "Tokens of the minute, in tokens, not in thousands.": "该分钟的 Tokens 数，单位是 token，不是千 token。",
    "Tokens sent to the model in the minute.": "该分钟的输入 Tokens 数。",
    "Tokens that the model returned in the minute.": "该分钟的输出 Tokens 数。",
    "Mean time to the first token in the minute; streaming calls only.": (
        "该分钟首 token 的平均时延，只统计流式响应。"
    ),
    "Mean time per token after the first; streaming calls only.": (
        "首 token 之后每个 token 的平均时延，只统计流式响应。"
    ),
    "Mean time of a call from end to end in the minute.": "该分钟一次调用的平均端到端时延。",
    "Calls of the minute that failed with HTTP 4xx, an error of the caller.": "该分钟返回 4xx 的次数，错在调用方。",
    "Calls of the minute that failed with HTTP 5xx, an error of the cloud.": "该分钟返回 5xx 的次数，错在云端。",
    "Share of the minute's calls that failed, 0 to 1, as Cloud Eye calculates it.": (
        "该分钟的调用失败率，0 至 1，由云监控计算。"
    ),
    "Calls of the minute divided by the model's limit of requests a minute. Only with `limits`.": (
        "该分钟的调用次数除以该模型每分钟请求数的上限；需要 `limits`。"
    ),
    "Tokens of the minute divided by the model's limit of tokens a minute. Only with `limits`.": (
        "该分钟的 Tokens 数除以该模型每分钟 Tokens 数的上限；需要 `limits`。"
    ),
    "Estimated cost of the hour's completion tokens, in `currency`.": (
        "该小时输出 Tokens 费用的估算值，币种见 `currency`。"
    ),
    "Budget of the calendar month, in `unit`.": "该自然月的预算，单位见 `unit`。",
    "Share of the budget that is used; 1 is all of it.": "已用占预算的比例，1 为全部用完。",
    "Expected use at the end of the month: `used`, and the rest of the month at the mean of the last 7 days.": (
        "预计到月底的用量：`used` 加上本月剩余时间按最近 7 天的平均用量推算的部分。"
    ),
    "Forecast divided by the budget.": "预计用量除以预算。",
    "Share of the month's hours that ended at least 3 hours ago and are known; below 1, `used` is too low.": (
        "本月结束满 3 小时的各小时中，已查到的比例；小于 1 时，`used` 偏低。"
    ),
    "Beginning of the month in the configured zone, in seconds since 1970.": (
        "该月的起点（按配置的时区），自 1970 年起的秒数。"
    ),
    "Time when the budget is used up, in seconds since 1970; only where that is within the month.": (
        "预算用完的时间，自 1970 年起的秒数；只在本月之内会用完时才有。"
    ),
    "1 if at least one query of the cycle succeeded, else 0.": "本轮至少有一个查询成功，为 1；否则为 0。",
    "0 if the whole cycle succeeded, 1 if a part of it did, else the kind of failure.": (
        "0 为全部成功，1 为部分成功，其他值表示失败的种类。"
    ),
    "Distinct queries of the cycle.": "本轮要发的查询数，相同的只算一个。",
    "Queries of the cycle that failed.": "本轮失败的查询数。",
    "HTTP requests that the cycle sent.": "本轮发出的 HTTP 请求数。",
    "How long the cycle took.": "本轮的耗时。",
    "Time when a query last succeeded, in seconds since 1970.": "最近一次查询成功的时间，自 1970 年起的秒数。",
    "End of the newest hour with use, in seconds since 1970: shows the cloud's delay. Only with `hourly`.": (
        "最新一个有用量的小时在何时结束，自 1970 年起的秒数，可以看出云端的延迟；需要 `hourly`。"
    ),
    "Hours of all series that have ended but are not known yet. Only with `hourly`.": (
        "所有序列中已经结束、用量还没有查到的小时数；需要 `hourly`。"
    ),
}
_STATISTICS = (
    "since the hour in which this plugin first recorded the series, each counted once; "
    "1 to 3 hours late, and after an outage all at once, at the present time.",
    "每个只计一次，从插件开始记录该序列的那个小时算起；比用量晚 1 至 3 小时，中断恢复后积压的一次给出，时间为当前。",
)
_CLOUD_EYE = (
    "since the hour in which this plugin first queried the models, each counted once; "
    "up to an hour late, and after an outage all at once, at the present time.",
    "每个只计一次，从插件开始查询模型的那个小时算起；最多晚一小时，中断恢复后积压的一次给出，时间为当前。",
)
_COUNTERS = {
    "Tokens used": "总 Tokens 数",
    "Tokens sent to the models": "输入 Tokens 数",
    "Tokens that the models returned": "输出 Tokens 数",
    "Calls": "调用次数",
    "Calls that failed": "调用失败次数",
}
DESCRIPTIONS.update(
    {
        f"{name} {since}": f"{chinese}，{chinese_since}"
        for since, chinese_since in (_STATISTICS, _CLOUD_EYE)
        for name, chinese in _COUNTERS.items()
    }
)
DESCRIPTIONS[f"Estimated cost of completion tokens at the configured prices, in `currency` {_CLOUD_EYE[0]}"] = (
    f"按配置的单价估算的输出 Tokens 费用，币种见 `currency`，{_CLOUD_EYE[1]}"
)
_NOT_CACHED = "未配置 `cached_share` 时，缓存命中的输入按普通输入计价，实际费用更低。"
_COSTS = {
    "Estimated cost of the hour: its tokens times the configured prices, in `currency`.": (
        "该小时费用的估算值：Tokens 数乘以配置的单价，币种见 `currency`。"
    ),
    "Estimated cost of the hour's prompt tokens, in `currency`.": "该小时输入 Tokens 费用的估算值，币种见 `currency`。",
    f"Estimated cost at the configured prices, in `currency` {_CLOUD_EYE[0]}": (
        f"按配置的单价估算的费用，币种见 `currency`，{_CLOUD_EYE[1]}"
    ),
    f"Estimated cost of prompt tokens at the configured prices, in `currency` {_CLOUD_EYE[0]}": (
        f"按配置的单价估算的输入 Tokens 费用，币种见 `currency`，{_CLOUD_EYE[1]}"
    ),
    "Sum of the month's known hours, in `unit`; cost is an estimate.": (
        "本月已查到的各小时用量之和，单位见 `unit`；费用是估算值。"
    ),
}
DESCRIPTIONS.update({f"{text} {NO_CACHED_SHARE}": f"{chinese}{_NOT_CACHED}" for text, chinese in _COSTS.items()})
