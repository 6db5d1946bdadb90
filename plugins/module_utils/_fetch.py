# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the managed host fetches; only the modules that do it carry Ansible's part for that."""

from __future__ import annotations

import typing as t

from ._streams import Wrong

_AGENT = "poolwright.storage"
_LIMIT = 30  # seconds without a byte


def fetch(url: str, headers: t.Mapping[str, str]) -> t.Any:
    """A response, as `_streams.Fetch`; proxies and certificates are those of get_url."""
    from ansible.module_utils.urls import open_url  # only here, because it takes its time

    try:
        answer = open_url(url, headers=dict(headers), timeout=_LIMIT, http_agent=_AGENT)
    except Exception as error:
        raise Wrong(f"cannot be fetched: {error}") from error
    if url.startswith("https:") and not str(answer.geturl()).startswith("https:"):
        raise Wrong(f"leads to {answer.geturl()}, which is not https")
    return answer
