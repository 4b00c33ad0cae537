"""Packaging; the version and the description come from the package and its README."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
README = (HERE / "README.md").read_text(encoding="utf-8")
# Relative links do not work where the package is published.
LONG = re.sub(r"!?\[([^\]\n]*(?:\n[^\]\n]+)?)\]\((?!https?://)[^)\s]*\)", r"\1", README)
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "maas_usage_check" / "version.py").read_text(encoding="utf-8"))[1]

SERVE = ["jinja2>=3.1", "prometheus-client>=0.20"]
TEST = [
    *SERVE,
    "hypothesis>=6.100",
    "line-protocol-parser>=1.1",
    "pytest>=8.0",
    "pytest-httpserver>=1.1",
    "pytest-timeout>=2.3",
    "pytest-xdist>=3.5",
    "trustme>=1.1",
]
DATADOG = ["datadog-checks-base[deps]>=36"]
AGENTS = [
    *TEST,
    *DATADOG,
    "build>=1.0",
    "datadog-api-client>=2.30",
    "datadog-checks-dev>=34",
    "kubernetes-validate>=1.34",
    "selenium>=4.20",
]

setup(
    name="maas-usage-check",
    version=VERSION,
    description="Reports what a team uses on Huawei Cloud MaaS to Datadog, Telegraf or Prometheus.",
    long_description=LONG,
    long_description_content_type="text/markdown",
    author="The maas-usage-check maintainers",
    # Placeholder: the release checklist replaces it by a real address, and adds the repository's URL.
    author_email="maintainers@maas-usage-check.invalid",
    project_urls={"API of the cloud": "https://support.huaweicloud.com/intl/en-us/api-maas/api-maas-0002.html"},
    license="Apache-2.0",
    keywords="huawei cloud maas modelarts llm tokens usage cost monitoring datadog telegraf prometheus zabbix categraf",
    packages=find_packages(include=["maas_usage_check", "maas_usage_check.*"]),
    package_data={
        "maas_usage_check": ["py.typed", "assets/*", "assets/*/*", "assets/*/*/*"],
        "maas_usage_check.commands.serve.page": ["templates/*"],
    },
    # Links to the alert rules and their tests, which are assets.
    exclude_package_data={"maas_usage_check": ["assets/examples/prometheus/alerts*.yml"]},
    python_requires=">=3.8",
    install_requires=[
        "huaweicloudsdkcore>=3.1.100",
        "msgspec>=0.18",
        "PyYAML>=6.0.1",
        "rich>=13.0",
        "tzdata>=2024.1",
        "tzlocal>=5.0",
        "backports.zoneinfo>=0.2.1; python_version < '3.9'",
    ],
    extras_require={
        "serve": SERVE,
        "datadog": DATADOG,
        "test": TEST,
        "agents": AGENTS,
        "package": ["build>=1.0", "check-wheel-contents>=0.6", "pyroma>=4.2", "twine>=5.1"],
        "dev": [
            *TEST,
            "build>=1.0",
            "import-linter>=2.6",
            "mypy>=1.11",
            "pip-audit>=2.7",
            "ruff>=0.6",
            "types-PyYAML",
            "types-requests",
        ],
    },
    entry_points={"console_scripts": ["maas-usage-check=maas_usage_check.__main__:run"]},
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Developers",
        "Intended Audience :: System Administrators",
        "License :: OSI Approved :: Apache Software License",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in range(8, 14)),
        "Programming Language :: Python :: 3 :: Only",
        "Topic :: System :: Monitoring",
        "Typing :: Typed",
    ],
)
