"""Spanish: pages of runs, by their literal text."""

from __future__ import annotations

AUDIT = {
    "(instrument: {off})": "(instrumento: {off})",
    "NOTED": "ANOTADO",
    "VALID": "VÁLIDO",
    "SUSPECT": "DUDOSO",
    "INVALID": "NO VÁLIDO",
    "{share}, by the client {ours}": "{share}; por el cliente, {ours}",
    "GPUs": "GPU",
    "CPU time taken by the hypervisor": "Tiempo de CPU tomado por el hipervisor",
    "Checks of the instrument and of the run; the worst word is the verdict.": (
        "Comprobaciones del instrumento y de la ejecución; la peor palabra es el veredicto."
    ),
    "Word": "Palabra",
    "figure": "cifra",
    "limit": "límite",
    "INVALID beyond": "NO VÁLIDO a partir de",
    "not judged": "sin juzgar",
    "Arrivals": "Llegadas",
    "No request failed.": "No falló ninguna solicitud.",
}

LATENCY = {
    "no samples": "sin muestras",
    "needs n = {n}": "necesita n = {n}",
    "sd": "desv. típ.",
    "worth {n}": "equivale a {n}",
    "tokens/s": "tokens/s",
    "asked": "pedidas",
    "mean": "media",
    "n/a": "n/d",
    "{n} requests/s": "{n} solicitudes/s",
    "{n} output tokens/s": "{n} tokens de salida/s",
    "{n} tokens/s in and out": "{n} tokens/s de entrada y salida",
    "over {s} s, from the first send to the last reply": "en {s} s, del primer envío a la última respuesta",
    "response time": "tiempo de respuesta",
    "service time": "tiempo de servicio",
    "response": "respuesta",
    "service": "servicio",
    "Response time starts at the planned time, service time at the actual send.": (
        "El tiempo de respuesta cuenta desde la hora planificada; el de servicio, desde el envío real."
    ),
    "Service time, from the actual send: a closed loop cannot show the queueing that it prevents.": (
        "Tiempo de servicio, desde el envío real: un bucle cerrado no puede mostrar la cola que él mismo evita."
    ),
    "MLPerf early stopping, p99 at 99 % confidence:": "Parada temprana de MLPerf, p99 con confianza del 99 %:",
    "Maxima of the whole run, outside of the window:": "Máximos de toda la ejecución, fuera de la ventana:",
    "{title} {whole} ms (in the window {inside})": "{title} {whole} ms (en la ventana {inside})",
    "The whole run, warm-up and drain included": "Toda la ejecución, calentamiento y vaciado incluidos",
}

METHOD = {
    "{beyond} more requests kept the load on until the last counted reply; {failed} of them failed": (
        "{beyond} solicitudes más mantuvieron la carga hasta la última respuesta contada; {failed} de ellas fallaron"
    ),
    "{planned} planned = {ok} ok + {failed} failed + {cancelled} cancelled + {unsent} unsent": (
        "{planned} planificadas = {ok} correctas + {failed} fallidas + {cancelled} canceladas + {unsent} no enviadas"
    ),
    "after {s} s": "tras {s} s",
    "none": "ninguno",
    "yes": "sí",
    "no": "no",
    "Run": "Ejecución",
    "Window": "Ventana",
    "Steady state": "Régimen estable",
    "no reason": "sin motivo",
    "Percentiles": "Percentiles",
    "Intervals": "Intervalos",
    "what was in flight was given up": "se abandonó lo que estaba en curso",
    "Ended early": "Terminada antes de tiempo",
    "Everything asked for": "Todo lo pedido",
    "effective": "efectivo",
    "The machine that measured": "La máquina que midió",
    "What is missing": "Qué falta",
    "How the charts were drawn": "Cómo se dibujaron los gráficos",
}

OVERVIEW = {
    "prompts of {file}, {n} tokens out": "prompts de {file}, {n} tokens de salida",
    "open loop, {rate} requests/s, {arrivals}": "bucle abierto, {rate} solicitudes/s, {arrivals}",
    "{s} s (ended by itself, {most} s at most)": "{s} s (terminó por sí misma, {most} s como máximo)",
    "{s} s": "{s} s",
    "Every check is within its limits.": "Todas las comprobaciones están dentro de sus límites.",
    "The figures can be used with care.": "Las cifras se pueden usar con cuidado.",
    "Do not use these figures.": "No usar estas cifras.",
    "Do not use the figures that are named here.": ("No usar las cifras que aquí se nombran."),
    "at most {n} in flight": "como máximo {n} en curso",
    "This run never said that it ended: its figures are of the part that was recorded.": (
        "Esta ejecución nunca dijo que terminó: sus cifras son de la parte grabada."
    ),
    "in flight, mean": "en curso, media",
    "{ok} of {planned} requests ok": "{ok} de {planned} solicitudes correctas",
    "Load test": "Prueba de carga",
    "streamed": "en streaming",
    "not streamed": "sin streaming",
}

FRAME = {
    "This run broke off: its figures are of the part that ran.": (
        "Esta ejecución se cortó: sus cifras son de la parte ejecutada."
    ),
    "This run was interrupted: its figures are of the part that ran.": (
        "Esta ejecución se interrumpió: sus cifras son de la parte ejecutada."
    ),
    "from {a} to {b} s": "de {a} a {b} s",
    "closed loop, {n} users": "bucle cerrado, {n} usuarios",
    "{a} to {b} s": "{a} a {b} s",
    "(cut: {n} characters in all)": "(cortado: {n} caracteres en total)",
    "This chart could not be drawn: {why}": "No se pudo dibujar este gráfico: {why}",
    "Formula": "Fórmula",
    "Cannot see": "No puede ver",
    "Copied": "Copiado",
    "Theme: auto": "Tema: automático",
    "Theme: light": "Tema: claro",
    "Theme: dark": "Tema: oscuro",
    "Contents": "Contenido",
    "Skip to the report": "Saltar al informe",
    "There is nothing to draw.": "No hay nada que dibujar.",
    "Charts need JavaScript, which is off here; every table is complete without it.": (
        "Los gráficos necesitan JavaScript, que aquí está desactivado; todas las tablas están completas sin él."
    ),
    "Not drawn: this installation of Loadcell lacks the scripts that draw charts. Install it again with pip "
    "install --force-reinstall loadcell.": (
        "Sin dibujar: a esta instalación de Loadcell le faltan los scripts que dibujan gráficos. Reinstalar con pip "
        "install --force-reinstall loadcell."
    ),
    "Copy": "Copiar",
    "Definitions": "Definiciones",
    "Summary": "Resumen",
    "Latency": "Latencia",
    "What drives it": "De qué depende",
    "Audit": "Auditoría",
    "Method": "Método",
}

COURSE = {
    "Throughput": "Caudal",
    "Worst stalls": "Peores pausas",
    "gap": "intervalo",
    "ended at": "terminó en",
    "request": "solicitud",
    "before event": "antes del evento",
    "others at that moment": "otras en ese momento",
    "read late by the client": "leída tarde por el cliente",
    "What the server and the machines told while the load ran; means are over the window": (
        "Lo que dijeron el servidor y las máquinas durante la carga; las medias son de la ventana"
    ),
    "Quantity": "Magnitud",
    "min": "mín.",
    "gained": "ganado",
    "told by": "según",
    "Energy": "Energía",
    "part": "parte",
    "front end": "frontal",
    "network and client": "red y cliente",
    "prefill and front end": "prefill y frontal",
    "front end, network and client": "frontal, red y cliente",
    "queue, front end, network and client": "cola, frontal, red y cliente",
    "queue": "cola",
    "prefill": "prefill",
    "No server told where TTFT went: queue or prefill.": "Ningún servidor dijo en qué se fue el TTFT: cola o prefill.",
}

PAGES = {**AUDIT, **LATENCY, **METHOD, **OVERVIEW, **FRAME, **COURSE}
