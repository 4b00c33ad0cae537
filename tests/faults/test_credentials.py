"""Credentials as people write them: a file or an environment leads to a signature, or to one line and no request."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Dict, Tuple, Union

import pytest

from ..conftest import Cloud
from ..program import Program

AK, SK, TOKEN = "TESTONLY000000000000", "TestOnly00TestOnly00TestOnly00TestOnly00", "test/only+token=="
Content = Union[str, bytes]
Environment = Dict[str, str]

HEADER = "User Name,Access Key Id,Secret Access Key"
CONSOLE = f"{HEADER}\r\nme,{AK},{SK}\r\n"
PAIR = f"HW_ACCESS_KEY={AK}\nHW_SECRET_KEY={SK}\n"
RIGHT_FILES: Dict[str, Content] = {
    "console": CONSOLE,
    "console, byte order mark": codecs.BOM_UTF8 + CONSOLE.encode(),
    "console, quotes": f'"User Name","Access Key Id","Secret Access Key"\n"a, ""b""","{AK}","{SK}"',
    "console, blanks": f" user name , ACCESS KEY ID , secret access key \n me , {AK} , {SK} \n\n,,\n",
    "console, other columns": f"Secret Access Key,Access Key Id\n{SK},{AK}\n",
    "one line": f"{AK},{SK}\n",
    "one line, quotes": f"\"{AK}\", '{SK}'  # mine\n",
    "lines": f"# mine\n{AK}  # access\n{SK} # secret\n",
    "env": f"\ufeff# mine\r\nexport HW_ACCESS_KEY=\"{AK}\"  # a # b\r\nHW_SECRET_KEY = '{SK}'\r\nTZ=UTC\r\nX\r\n",
    "env, comments": f"HW_ACCESS_KEY={AK} # 'a'\nHW_SECRET_KEY={SK}\t# s\nHW_SECURITY_TOKEN= # none\n",
    "env, empty": f"HW_ACCESS_KEY=\nHW_SECRET_KEY=''\nHUAWEI_ACCESS_KEY={AK}\nHUAWEI_SECRET_KEY={SK}",
    "env, SDK": f"HUAWEICLOUD_SDK_AK={AK}\nHUAWEICLOUD_SDK_SK={SK}\nHW_SECURITY_TOKEN=unused",
}

PLACE = "looks like a secret key: write each value in its own place"
BEGINS = "begins with a name and `=`: write the value alone"
QUOTE = "contains a quote: write the value without quotes"
COMMA = "contains a comma: write each value in its own place"
BLANK = "contains a blank or an invalid character: copy it again"
PLACEHOLDER = "is a placeholder: write the value, or set the variable that should replace it"
PARTS = "FILE has 3 parts on one line: write AK,SK, or keep the console's file with its header"
SHAPES = "none of the three shapes: HW_ACCESS_KEY=... lines, one line AK,SK, or AK and SK on lines of their own"
CSV = "FILE has the console's header, {}: download it again, or write one line AK,SK"
WRONG_FILES: Dict[str, Tuple[Content, str]] = {
    "row of the console": (f"me,{AK},{SK}", PARTS),
    "token on the line": (f"{AK},{SK},{TOKEN}", PARTS),
    "name above": (f"me\n{AK}\n{SK}", f"security token from FILE {PLACE}"),
    "swapped lines": (f"{SK}\n{AK}", f"access key from FILE {PLACE}"),
    "swapped parts": (f"{SK},{AK}", f"access key from FILE {PLACE}"),
    "swapped with the token": (f"{AK}\n{TOKEN}\n{SK}", f"security token from FILE {PLACE}"),
    "swapped variables": (f"HW_ACCESS_KEY={SK}\nHW_SECRET_KEY={AK}", f"HW_ACCESS_KEY from FILE {PLACE}"),
    "swapped columns": (f"{HEADER}\n{AK},{SK},me", f"Access Key Id from FILE {PLACE}"),
    "secret key twice": (f"{AK}\nsecret\nsecret", f"security token from FILE {PLACE}"),
    "secret key as token": (f"{PAIR}HW_SECURITY_TOKEN='{SK}'", f"HW_SECURITY_TOKEN from FILE {PLACE}"),
    "colon": (f"{AK}:{SK}\nme", f"access key from FILE {PLACE}"),
    "colon in a token": (f"{AK}\nme\n{AK}:{SK}", f"security token from FILE {PLACE}"),
    "semicolons": (f"me;{AK};{SK}\nx", f"access key from FILE {PLACE}"),
    "profile of the SDK": (f"[basic]\nak={AK}\nsk={SK}", f"secret key from FILE {BEGINS}"),
    "unknown names": (f"AK={AK}\nSK={SK}", "FILE has `=` in the access key: write the lines as HW_ACCESS_KEY=... and "
                      "HW_SECRET_KEY=..."),
    "two lines of pairs": (f"{AK},{SK}\n{AK},{SK}", f"access key from FILE {COMMA}"),
    "quote in the middle": (f"{AK},{SK[:9]}'{SK[9:]}", f"secret key from FILE {QUOTE}"),
    "one quote": (f'HW_ACCESS_KEY="{AK}\nHW_SECRET_KEY={SK}', f"HW_ACCESS_KEY from FILE {QUOTE}"),
    "JSON": (f'{{"ak":"{AK}","sk":"{SK}"}}', f"access key from FILE {QUOTE}"),
    "comma": (f"HW_ACCESS_KEY={AK},\nHW_SECRET_KEY={SK}", f"HW_ACCESS_KEY from FILE {COMMA}"),
    "comma in the secret": (f"HW_ACCESS_KEY={AK}\nHW_SECRET_KEY={AK},{SK}", f"HW_SECRET_KEY from FILE {COMMA}"),
    "half a pair": (f"HW_ACCESS_KEY={AK}\nHUAWEI_SECRET_KEY={SK}",
                    "FILE has no HW_SECRET_KEY: add it on a line of its own"),
    "one line of variables": (f"export HW_ACCESS_KEY={AK} HW_SECRET_KEY={SK}",
                              "FILE has no HW_SECRET_KEY: add it on a line of its own"),
    "two keys of the console": (f"{CONSOLE}you,{AK},{SK}", CSV.format("and 2 keys instead of one")),
    "no key of the console": (f"{HEADER}\n", CSV.format("and 0 keys instead of one")),
    "comma in the name": (f"{HEADER}\na,b,{AK},{SK}", CSV.format("and a row of 4 columns instead of 3")),
    "console, semicolons": (CONSOLE.replace(",", ";"), CSV.format("but its columns are not separated by commas")),
    "console, no secret key": (f"{HEADER}\nme,{AK},\n", "FILE has no Secret Access Key: add it"),
    "UTF-16": (CONSOLE.encode("utf-16"), "FILE is UTF-16, not UTF-8; save it as UTF-8"),
    "UTF-16 without a mark": (PAIR.encode("utf-16-be"), "FILE is UTF-16, not UTF-8; save it as UTF-8"),
    "GBK": (f"# 密钥\n{PAIR}".encode("gbk"), "FILE is not UTF-8 text, perhaps GBK; save it as UTF-8"),
    "comments only": ("# mine\n", f"FILE has {SHAPES}"),
    "other variables": (f"A={AK}\nB={SK}\nC=\nD=", f"FILE has {SHAPES}"),
    "64 KiB": (f"{PAIR}{'#' * 65_536}", "FILE is larger than 64 KiB: name a file with the key alone"),
}  # fmt: skip

HW = {"HW_ACCESS_KEY": AK, "HW_SECRET_KEY": SK}
HUAWEI = {"HUAWEI_ACCESS_KEY": AK, "HUAWEI_SECRET_KEY": SK}
SDK = {"HUAWEICLOUD_SDK_AK": AK, "HUAWEICLOUD_SDK_SK": SK}
OTHER = {"HUAWEI_ACCESS_KEY": "other", "HUAWEI_SECRET_KEY": "other"}
RIGHT_ENVIRONMENTS: Dict[str, Tuple[Environment, str]] = {
    "HW": ({**HW, **OTHER}, ""),
    "quotes": ({"HW_ACCESS_KEY": f'"{AK}"', "HW_SECRET_KEY": f" ' {SK}'\r\n"}, ""),
    "HUAWEI": (HUAWEI, "HUAWEI_ACCESS_KEY and HUAWEI_SECRET_KEY"),
    "SDK": (SDK, "HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK"),
    "empty": ({**HUAWEI, "HW_ACCESS_KEY": "", "HW_SECRET_KEY": "''"}, "HUAWEI_ACCESS_KEY and HUAWEI_SECRET_KEY"),
    "files": ({"HW_ACCESS_KEY_FILE": "ak", "HW_SECRET_KEY_FILE": "'sk'"}, "HW_ACCESS_KEY_FILE and HW_SECRET_KEY_FILE"),
    "one file": ({"HW_ACCESS_KEY": AK, "HW_ACCESS_KEY_FILE": "", "HW_SECRET_KEY_FILE": "sk"}, ""),
}
TOKENS: Dict[str, Environment] = {
    "HW": {**HW, "HW_SECURITY_TOKEN": f'"{TOKEN}"'},
    "HUAWEI": {**HUAWEI, "HW_SECURITY_TOKEN": TOKEN},
    "SDK": {**SDK, "HUAWEICLOUD_SDK_SECURITY_TOKEN": TOKEN, "HW_SECURITY_TOKEN": "other"},
    "file": {**HW, "HW_SECURITY_TOKEN_FILE": "token"},
}
SECRET_FILES = {"ak": f"\ufeff{AK}\r\n", "sk": f'"{SK}"\n', "token": TOKEN, "empty": "\n", "two": f"{AK}\n{SK}\n",
                "env": PAIR}  # fmt: skip

UNSET = (
    "not set in the environment: export them where the agent starts, or use `credentials: {source: file, path: ...}`"
)
OF_FILE = "the file of HW_SECRET_KEY_FILE in the environment"
WRONG_ENVIRONMENTS: Dict[str, Tuple[Environment, str]] = {
    "nothing": ({}, f"HW_ACCESS_KEY and HW_SECRET_KEY {UNSET}"),
    "token only": ({"HW_SECURITY_TOKEN": TOKEN}, f"HW_ACCESS_KEY and HW_SECRET_KEY {UNSET}"),
    "half HW": ({"HW_ACCESS_KEY": AK, **OTHER}, f"HW_SECRET_KEY {UNSET}"),
    "half a file": ({"HW_SECRET_KEY_FILE": "sk", **SDK}, f"HW_ACCESS_KEY {UNSET}"),
    "half HUAWEI": ({"HUAWEI_SECRET_KEY": SK, **SDK}, f"HUAWEI_ACCESS_KEY {UNSET}"),
    "half SDK": ({"HUAWEICLOUD_SDK_AK": AK}, f"HUAWEICLOUD_SDK_SK {UNSET}"),
    "both": ({**HW, "HW_SECRET_KEY_FILE": "sk"},
             "HW_SECRET_KEY and HW_SECRET_KEY_FILE are both set in the environment: remove one"),
    "both tokens": ({**HW, "HW_SECURITY_TOKEN": "a", "HW_SECURITY_TOKEN_FILE": "b"},
                    "HW_SECURITY_TOKEN and HW_SECURITY_TOKEN_FILE are both set in the environment: remove one"),
    "swapped": ({"HW_ACCESS_KEY": SK, "HW_SECRET_KEY": AK}, f"HW_ACCESS_KEY from the environment {PLACE}"),
    "secret key as token": ({**HW, "HW_SECURITY_TOKEN": SK}, f"HW_SECURITY_TOKEN from the environment {PLACE}"),
    "swapped SDK": ({"HUAWEICLOUD_SDK_AK": SK, "HUAWEICLOUD_SDK_SK": AK},
                    f"HUAWEICLOUD_SDK_AK from the environment {PLACE}"),
    "swapped files": ({"HW_ACCESS_KEY_FILE": "sk", "HW_SECRET_KEY_FILE": "ak"},
                      f"HW_ACCESS_KEY_FILE from the environment {PLACE}"),
    "longer": ({**HW, "HW_ACCESS_KEY": f"{SK}0"}, f"HW_ACCESS_KEY from the environment {PLACE}"),
    "comma": ({**HW, "HW_ACCESS_KEY": f"{AK},{SK}"}, f"HW_ACCESS_KEY from the environment {COMMA}"),
    "quote at the end": ({**HW, "HW_SECRET_KEY": f"{SK}'"}, f"HW_SECRET_KEY from the environment {QUOTE}"),
    "blank": ({**HW, "HW_ACCESS_KEY": f"{AK} {SK}"}, f"HW_ACCESS_KEY from the environment {BLANK}"),
    "assignment": ({**HW, "HW_ACCESS_KEY": f"HW_ACCESS_KEY={AK}"}, f"HW_ACCESS_KEY from the environment {BEGINS}"),
    "no file": ({"HW_ACCESS_KEY": AK, "HW_SECRET_KEY_FILE": SK},
                f"{OF_FILE} cannot be read (No such file or directory): check the path and who may read it"),
    "folder": ({"HW_ACCESS_KEY": AK, "HW_SECRET_KEY_FILE": "."}, f"{OF_FILE} is not a regular file; name a file"),
    "empty file": ({"HW_ACCESS_KEY": AK, "HW_SECRET_KEY_FILE": "empty"},
                   f"{OF_FILE} is empty: write the value into it"),
    "two lines": ({"HW_ACCESS_KEY_FILE": "two", "HW_SECRET_KEY": SK},
                  f"HW_ACCESS_KEY_FILE from the environment {BLANK}"),
    "variables": ({"HW_ACCESS_KEY": AK, "HW_SECRET_KEY_FILE": "env"},
                  f"HW_SECRET_KEY_FILE from the environment {BLANK}"),
    **{text: ({**HW, "HW_SECRET_KEY": text}, f"HW_SECRET_KEY from the environment {PLACEHOLDER}")
       for text in ("${SK}", "$SK", "%%env_SK%%", "%SK%", "{{ sk }}", "@{store:sk}", "<your-sk>", "ENC[sk]", "...")},
}  # fmt: skip

NO_KEY = {"HW_ACCESS_KEY": None, "HW_SECRET_KEY": None}


@pytest.fixture
def emulated(cloud: Cloud) -> Cloud:
    cloud.emulator.secret_keys[AK] = SK
    return cloud


def check_refused(program: Program, cloud: Cloud, config: str, line: str, **environ: str) -> None:
    """Check that `collect` fails with the line, and sends nothing."""
    done = program("collect", "--config", config, **{**NO_KEY, **environ})
    assert done.returncode == 1
    (printed,) = done.stderr.splitlines()
    assert printed.startswith(f"E! cn-southwest-2: {line} (no values for ")
    assert cloud.requests == []


def write_config(program: Program, cloud: Cloud, content: Content) -> str:
    """Write a credentials file and a configuration that names it; return the configuration's path."""
    path = program.folder / "key"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(0o600)
    return program.cloud_config(cloud, f"credentials: {{source: file, path: {path}}}")


@pytest.mark.parametrize("name", RIGHT_FILES)
def test_right_file(emulated: Cloud, program: Program, name: str) -> None:
    done = program("collect", "--config", write_config(program, emulated, RIGHT_FILES[name]), **NO_KEY)
    assert (done.returncode, done.stderr) == (0, "")
    assert not any("X-Security-Token" in request.headers for request in emulated.requests)


@pytest.mark.parametrize("name", WRONG_FILES)
def test_wrong_file(emulated: Cloud, program: Program, name: str) -> None:
    content, line = WRONG_FILES[name]
    config = write_config(program, emulated, content)
    check_refused(program, emulated, config, line.replace("FILE", f"credentials file {program.folder / 'key'}"))


@pytest.fixture
def secret_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write files with one value each into the working folder."""
    monkeypatch.chdir(tmp_path)
    for name, text in SECRET_FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8", newline="")


@pytest.mark.usefixtures("secret_files")
@pytest.mark.parametrize("name", RIGHT_ENVIRONMENTS)
def test_right_environment(emulated: Cloud, program: Program, name: str) -> None:
    """The variables are found, and `doctor` names them where there are several possibilities."""
    environ, variables = RIGHT_ENVIRONMENTS[name]
    config = program.cloud_config(emulated)
    done = program("collect", "--config", config, **{**NO_KEY, **environ})
    assert (done.returncode, done.stderr) == (0, "")
    source = f"key from the environment{variables and ', '}{variables}\n"
    assert source in program("doctor", "--config", config, **{**NO_KEY, **environ}).stdout


@pytest.mark.usefixtures("secret_files")
@pytest.mark.parametrize("name", TOKENS)
def test_token(emulated: Cloud, program: Program, name: str) -> None:
    emulated.emulator.tokens[AK] = TOKEN
    done = program("collect", "--config", program.cloud_config(emulated), **{**NO_KEY, **TOKENS[name]})
    assert (done.returncode, done.stderr) == (0, "")
    assert {request.headers["X-Security-Token"] for request in emulated.requests} == {TOKEN}


@pytest.mark.usefixtures("secret_files")
@pytest.mark.parametrize("name", WRONG_ENVIRONMENTS)
def test_wrong_environment(emulated: Cloud, program: Program, name: str) -> None:
    environ, line = WRONG_ENVIRONMENTS[name]
    check_refused(program, emulated, program.cloud_config(emulated), line, **environ)


SDK_SOURCE = "credentials: {source: sdk}"


@pytest.mark.parametrize(
    ("ak", "sk", "token", "line"),
    [
        (SK, AK, "", f"access key from the SDK's own sources {PLACE}"),
        (AK, SK, SK, f"security token from the SDK's own sources {PLACE}"),
        (f"{AK},{SK}", "x", "", f"access key from the SDK's own sources {COMMA}"),
        (AK, "${SK}", "", f"secret key from the SDK's own sources {PLACEHOLDER}"),
        (AK, f"{SK} x", "", f"secret key from the SDK's own sources {BLANK}"),
    ],
)
def test_wrong_sdk(emulated: Cloud, program: Program, ak: str, sk: str, token: str, line: str) -> None:
    """The SDK's sources are checked as the others are."""
    environ = {"HUAWEICLOUD_SDK_AK": ak, "HUAWEICLOUD_SDK_SK": sk, "HUAWEICLOUD_SDK_SECURITY_TOKEN": token}
    check_refused(program, emulated, program.cloud_config(emulated, SDK_SOURCE), line, **environ)


def test_sdk_profile(emulated: Cloud, program: Program) -> None:
    """Quotes in the SDK's own file are no part of the key; a row of the console in it is refused."""
    profile, config = program.folder / "profile", program.cloud_config(emulated, SDK_SOURCE)
    environ = {"HUAWEICLOUD_SDK_CREDENTIALS_FILE": str(profile)}
    profile.write_text(f'[basic]\nak = me,{AK},{SK}\nsk = "{SK}"\n')
    check_refused(program, emulated, config, f"access key from the SDK's own sources {COMMA}", **environ)
    profile.write_text(f'[basic]\nak = "{AK}"\nsk = "{SK}"\n')
    assert program("collect", "--config", config, **{**NO_KEY, **environ}).returncode == 0


def test_process(emulated: Cloud, program: Program) -> None:
    """A process reads the console's file, and refuses its row alone."""
    config = write_config(program, emulated, CONSOLE)
    assert program.process("collect", "--config", config, **NO_KEY).returncode == 0
    sent = len(emulated.requests)
    write_config(program, emulated, f"me,{AK},{SK}")
    done = program.process("collect", "--config", config, **NO_KEY)
    assert done.returncode == 1
    assert "has 3 parts on one line" in done.stderr
    assert len(emulated.requests) == sent


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "gbk"])
def test_encoding_of_the_configuration(program: Program, encoding: str) -> None:
    config = program.config("")
    Path(config).write_bytes("# 用量\nregion: cn-southwest-2\ninstances: [{}]\n".encode(encoding))
    named = "not UTF-8 text, perhaps GBK" if encoding == "gbk" else "UTF-16, not UTF-8"
    done = program("collect", "--config", config)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"E! {config}: not valid YAML: it is {named}; save it as UTF-8\n"
