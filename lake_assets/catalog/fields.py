"""What a column means wherever it appears: one name, one meaning, one sentence.

Belongs here: sentences for columns that several datasets share with the same meaning.
Does not belong here: a column whose meaning differs between datasets; its dataset says it.
"""

from collections.abc import Mapping
from types import MappingProxyType

COMMON: Mapping[str, str] = MappingProxyType(
    {
        "agent_id": "The agent, by its stable id.",
        "created_at": "When the row was created.",
        "updated_at": "When the row last changed.",
        "org_id": "The organisation.",
        "user_id": "The user.",
    }
)
