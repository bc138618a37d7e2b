"""Formats of strings by name, as plain patterns (see `constraints.plain`)."""

DAY = r"(0[1-9]|[12][0-9]|3[01])"
DATE = rf"[0-9]{{4,4}}-(0[1-9]|1[0-2])-{DAY}"
TIME = (
    r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6}){0,1}"
    r"(Z|[+\-]([01][0-9]|2[0-3]):[0-5][0-9])"
)
BYTE = r"(25[0-5]|2[0-4][0-9]|1[0-9]{2,2}|[1-9]{0,1}[0-9])"
LABEL = r"[a-zA-Z0-9]{1,}(-[a-zA-Z0-9]{1,}){0,}"
HOST = rf"{LABEL}(\.{LABEL}){{0,}}"
#: By name, what is written for it, as plain patterns (see `constraints.plain`).
FORMATS = {
    "date": DATE,
    "time": TIME,
    "date-time": f"{DATE}T{TIME}",
    "duration": r"P([0-9]{1,4}D(T[0-9]{1,4}H){0,1}|T[0-9]{1,4}(H|M|S)|[0-9]{1,4}W)",
    "email": rf"[a-zA-Z0-9_+\-]{{1,}}(\.[a-zA-Z0-9_+\-]{{1,}}){{0,}}@{HOST}",
    "hostname": HOST,
    "ipv4": rf"{BYTE}(\.{BYTE}){{3,3}}",
    "ipv6": r"([0-9a-f]{1,4}:){7,7}[0-9a-f]{1,4}",
    "uuid": r"[0-9a-f]{8,8}(-[0-9a-f]{4,4}){3,3}-[0-9a-f]{12,12}",
    "uri": rf"https{{0,1}}://{HOST}(/[a-zA-Z0-9._~\-]{{0,}}){{0,}}",
}
