"""The invented company behind the sample data: its agents, models, people, customers, servers.

Belongs here: named things that several datasets share, and their habits, as plain data.
Does not belong here: random draws, rows. Prices and people are invented.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """An agent with habits.

    `share` is its part of all runs; `peak_hour` (UTC) and `focus` (0 works round the clock, 4
    only around its peak) say when it works; `weekend` is its share left on a weekend day;
    `slowness` and `appetite` multiply durations and tokens; `models` are its favourites.
    """

    agent_id: str
    name: str
    role: str
    share: float
    error_rate: float
    peak_hour: int
    focus: float
    weekend: float
    slowness: float
    appetite: float
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model with its provider and price list.

    Prices are US dollars per million tokens, which is micro-dollars per token. `latency_ms` is
    the median of a short call.
    """

    name: str
    provider: str
    input_usd_per_mtok: float = 0.0
    output_usd_per_mtok: float = 0.0
    latency_ms: int = 900


def _agent(
    agent_id: str, name: str, role: str, habits: tuple[float, ...], models: tuple[str, ...]
) -> Agent:
    share, error_rate, peak_hour, focus, weekend, slowness, appetite = habits
    return Agent(
        agent_id=agent_id,
        name=name,
        role=role,
        share=share,
        error_rate=error_rate,
        peak_hour=int(peak_hour),
        focus=focus,
        weekend=weekend,
        slowness=slowness,
        appetite=appetite,
        models=models,
    )


# share, error rate, peak hour, focus, weekend, slowness, appetite
AGENTS: tuple[Agent, ...] = (
    _agent(
        "aurora", "Aurora", "research", (18, 0.03, 15, 2.0, 0.5, 1.2, 1.4), ("claude-sonnet-4",)
    ),
    _agent("sage", "Sage", "support", (14, 0.05, 16, 1.2, 0.8, 0.7, 0.7), ("gpt-4o-mini",)),
    _agent("atlas", "Atlas", "code_review", (12, 0.04, 10, 2.5, 0.2, 1.5, 1.6), ("gpt-4o",)),
    _agent("ember", "Ember", "monitoring", (10, 0.02, 3, 0.1, 1.0, 0.4, 0.4), ("gpt-4o-mini",)),
    _agent("quill", "Quill ✍️", "writing", (9, 0.03, 13, 2.2, 0.4, 1.0, 1.2), ("claude-sonnet-4",)),
    _agent("nova", "Nova", "sales", (8, 0.06, 17, 3.0, 0.1, 0.9, 0.8), ("gemini-2.5-flash",)),
    _agent("orion", "Orión", "data", (7, 0.04, 2, 1.5, 0.9, 2.0, 1.3), ("deepseek-v3",)),
    _agent("lyra", "Lyra 🎵", "media", (6, 0.08, 20, 1.8, 0.9, 1.8, 0.6), ("gemini-2.5-flash",)),
    _agent("juno", "Juno", "finance", (5, 0.02, 8, 3.2, 0.1, 1.1, 0.9), ("gpt-4o",)),
    _agent("kestrel", "Kestrel", "ops", (5, 0.05, 22, 0.4, 1.0, 0.5, 0.5), ("llama-3.3-70b",)),
    _agent("onyx", "Ônix", "security", (4, 0.03, 6, 0.6, 0.9, 1.3, 1.0), ("mistral-large",)),
    _agent("zephyr", "微风 Zéphyr", "travel", (2, 0.12, 12, 1.0, 0.7, 1.0, 1.0), ("qwen-2.5-72b",)),
)

TEXT_MODELS: tuple[Model, ...] = (
    Model(
        name="gpt-4o-mini",
        provider="openai",
        input_usd_per_mtok=0.15,
        output_usd_per_mtok=0.6,
        latency_ms=700,
    ),
    Model(
        name="claude-sonnet-4",
        provider="anthropic",
        input_usd_per_mtok=3,
        output_usd_per_mtok=15,
        latency_ms=1600,
    ),
    Model(
        name="gpt-4o",
        provider="openai",
        input_usd_per_mtok=2.5,
        output_usd_per_mtok=10,
        latency_ms=1300,
    ),
    Model(
        name="gemini-2.5-flash",
        provider="google",
        input_usd_per_mtok=0.3,
        output_usd_per_mtok=2.5,
        latency_ms=800,
    ),
    Model(
        name="deepseek-v3",
        provider="deepseek",
        input_usd_per_mtok=0.27,
        output_usd_per_mtok=1.1,
        latency_ms=2100,
    ),
    Model(
        name="llama-3.3-70b",
        provider="meta",
        input_usd_per_mtok=0.6,
        output_usd_per_mtok=0.6,
        latency_ms=900,
    ),
    Model(
        name="mistral-large",
        provider="mistral",
        input_usd_per_mtok=2,
        output_usd_per_mtok=6,
        latency_ms=1100,
    ),
    Model(
        name="qwen-2.5-72b",
        provider="alibaba",
        input_usd_per_mtok=0.4,
        output_usd_per_mtok=1.2,
        latency_ms=1200,
    ),
)

AUDIO_MODELS: tuple[Model, ...] = (
    Model(name="whisper-1", provider="openai", latency_ms=2400),
    Model(name="tts-1", provider="openai", latency_ms=1100),
    Model(name="eleven_multilingual_v2", provider="elevenlabs", latency_ms=900),
    Model(name="nova-2", provider="deepgram", latency_ms=600),
)

MEDIA_MODELS: tuple[Model, ...] = (
    Model(name="gpt-image-1", provider="openai", latency_ms=9000),
    Model(name="imagen-3", provider="google", latency_ms=7000),
    Model(name="veo-2", provider="google", latency_ms=45000),
    Model(name="flux-1-dev", provider="black-forest-labs", latency_ms=4000),
)

HUB_MODELS: tuple[Model, ...] = (
    Model(
        name="sentence-transformers/all-MiniLM-L6-v2",
        provider="huggingface",
        input_usd_per_mtok=0.01,
        latency_ms=40,
    ),
    Model(
        name="meta-llama/Llama-3.3-70B-Instruct",
        provider="together",
        input_usd_per_mtok=0.6,
        output_usd_per_mtok=0.6,
    ),
    Model(name="BAAI/bge-m3", provider="huggingface", input_usd_per_mtok=0.02, latency_ms=60),
    Model(
        name="Qwen/Qwen2.5-Coder-32B-Instruct",
        provider="nebius",
        input_usd_per_mtok=0.2,
        output_usd_per_mtok=0.6,
    ),
)

ORGS: tuple[tuple[str, str], ...] = tuple(
    (f"org_{name.split()[0].lower()}", label)
    for name, label in (
        ("northwind", "Northwind Traders"),
        ("acme", "Acme Robotics"),
        ("initech", "Initech"),
        ("umbra", "Ümbra Österreich GmbH"),
        ("sakura", "さくらデータ株式会社"),
        ("cairo", "شركة النيل للبيانات"),
        ("hooli", "Hooli"),
        ("globex", "Globex"),
        ("vega", "Vega & Söhne"),
        ("stark", "Stark Analytics"),
        ("tyrell", "Tyrell"),
        ("wonka", "Wonka Foods"),
        ("soylent", "Soylent"),
        ("krakow", "Kraków Łódź Sp. z o.o."),
        ("bengal", "বেঙ্গল টেক"),
        ("haifa", "חיפה טק"),
    )
)

_GIVEN = (
    "Ada",
    "Noah",
    "Zoë",
    "José",
    "Mai",
    "Ольга",
    "李",
    "محمد",
    "Søren",
    "Ngọc",
    "דנה",
    "Chidi",
)
_FAMILY = (
    "Lovelace",
    "Müller",
    "O’Brien",
    "García",
    "山田",
    "Иванова",
    "Nguyễn",
    "حسن",
    "Åberg",
    "Smith",
)
# The last one writes é as e with a combining accent, as some keyboards do.
PEOPLE: tuple[str, ...] = (
    *(f"{given} {family}" for family in _FAMILY for given in _GIVEN),
    "Rene\u0301e Dupont",
)

MCP_SERVERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("search", ("web_search", "news_search", "fetch_page")),
    ("github", ("create_issue", "list_pull_requests", "read_file", "search_code")),
    ("zerodb", ("query", "upsert_vectors", "list_tables")),
    ("filesystem", ("read", "write", "list_dir")),
    ("slack", ("post_message", "search_messages")),
    ("browser", ("open", "click", "screenshot")),
    ("calendar", ("list_events", "create_event")),
    ("payments", ("create_invoice", "get_balance")),
)

HOSTS: tuple[str, ...] = (
    "hooks.northwind.example",
    "hooks.acme.example",
    "api.initech.example",
    "events.globex.example",
    "müller.example",
)
"""Where webhooks are delivered to."""

PROJECTS = 40
USERS = 240

AGENT_IDS: tuple[str, ...] = tuple(agent.agent_id for agent in AGENTS)
AGENT_NAMES: tuple[str, ...] = tuple(agent.name for agent in AGENTS)
ORG_IDS: tuple[str, ...] = tuple(org_id for org_id, _ in ORGS)
USER_IDS: tuple[str, ...] = tuple(f"usr_{index:04d}" for index in range(USERS))
PROJECT_IDS: tuple[str, ...] = tuple(f"prj_{index:03d}" for index in range(PROJECTS))
MCP_SERVER_NAMES: tuple[str, ...] = tuple(server for server, _ in MCP_SERVERS)
MCP_TOOL_NAMES: tuple[str, ...] = tuple(tool for _, tools in MCP_SERVERS for tool in tools)
