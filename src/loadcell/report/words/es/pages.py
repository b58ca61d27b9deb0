"""Spanish: pages of runs, by their literal text."""

# ruff: noqa: RUF001

from __future__ import annotations

AUDIT = {
    "(instrument: {off})": "(instrumento: {off})",
    "NOTED": "ANOTADO",
    "Mean power": "Potencia media",
    "Outputs longer than asked": "Salidas más largas de lo pedido",
    "VALID": "VÁLIDO",
    "SUSPECT": "DUDOSO",
    "INVALID": "NO VÁLIDO",
    "No valid measurement": "Ninguna medición válida",
    "Clock": "Reloj",
    "Sent within 1 ms of their time": "Enviadas a menos de 1 ms de su hora",
    "{share}, by the client {ours}": "{share}; por el cliente, {ours}",
    "Longest stall of the client": "Mayor parada del cliente",
    "Requests on open connections": "Solicitudes por conexiones abiertas",
    "Requests on new connections": "Solicitudes por conexiones nuevas",
    "Variation of the gaps (CV)": "Variación de los intervalos (CV)",
    "Dispersion over 1 s": "Dispersión en 1 s",
    "Dispersion over 10 s": "Dispersión en 10 s",
    "KS distance of the gaps": "Distancia KS de los intervalos",
    "Energy an output token": "Energía por token de salida",
    "Energy a request": "Energía por solicitud",
    "GPUs": "GPU",
    "Busiest load process": "Proceso de carga más ocupado",
    "Reads stamped by the client's clock": "Lecturas marcadas con el reloj del cliente",
    "Stamps that went backward": "Marcas que retrocedieron",
    "Least round trip": "Ida y vuelta mínima",
    "Connections lost": "Conexiones perdidas",
    "Connections not opened": "Conexiones no abiertas",
    "Tokens counted against usage, difference": "Tokens contados frente al uso, diferencia",
    "Outputs shorter than asked": "Salidas más cortas de lo pedido",
    "Prompt tokens against those planned": "Tokens de entrada frente a los planificados",
    "Prompt tokens from a cache": "Tokens de entrada desde una caché",
    "The same without the chat template's": "Lo mismo sin los de la plantilla de chat",
    "CPU time taken by the hypervisor": "Tiempo de CPU tomado por el hipervisor",
    "Checks of the instrument and of the run; the worst word is the verdict.": (
        "Comprobaciones del instrumento y de la ejecución; la peor palabra es el veredicto."
    ),
    "Word": "Palabra",
    "figure": "cifra",
    "limit": "límite",
    "INVALID beyond": "NO VÁLIDO a partir de",
    "not judged": "sin juzgar",
    "The instrument": "El instrumento",
    "Arrivals": "Llegadas",
    "In the window": "En la ventana",
    "planned": "planificadas",
    "Self-test of this machine": "Autoprueba de esta máquina",
    "Of {day}, at {n} streams and {rate} tokens/s: reported less true.": (
        "Del {day}, con {n} flujos y {rate} tokens/s: lo medido menos lo verdadero."
    ),
    "and {n} more kinds": "y {n} clases más",
    "No request failed.": "No falló ninguna solicitud.",
}

LATENCY = {
    "no samples": "sin muestras",
    "needs n = {n}": "necesita n = {n}",
    "fewer than {n} samples": "menos de {n} muestras",
    "the queue grows": "la cola crece",
    "sd": "desv. típ.",
    "With what failed as infinitely late:": "Con lo fallido como infinitamente tarde:",
    "worth {n}": "equivale a {n}",
    "{share} of rate × time in system": "{share} de tasa × tiempo en el sistema",
    "{share} of requests": "{share} de las solicitudes",
    "most": "máximo",
    "tokens/s": "tokens/s",
    "asked": "pedidas",
    "mean": "media",
    "n/a": "n/d",
    "n/a: nothing was sent between ramp and drain": "n/d: no se envió nada entre la rampa y el vaciado",
    "Little's law": "Ley de Little",
    "Rates as other tools count them": "Tasas como las cuentan otras herramientas",
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
    "Percentiles in milliseconds, each with its 95 % interval below it; worth: how many independent samples the "
    "samples are worth; +: at least so much, for they are worth too few for an upper end": (
        "Percentiles en milisegundos, cada uno con su intervalo del 95 % debajo; equivale a: a cuántas muestras "
        "independientes equivalen las muestras; +: al menos eso, pues equivalen a muy pocas para un extremo superior"
    ),
    "MLPerf early stopping, p99 at 99 % confidence:": "Parada temprana de MLPerf, p99 con confianza del 99 %:",
    "Maxima of the whole run, outside of the window:": "Máximos de toda la ejecución, fuera de la ventana:",
    "{title} {whole} ms (in the window {inside})": "{title} {whole} ms (en la ventana {inside})",
    "The whole run, warm-up and drain included": "Toda la ejecución, calentamiento y vaciado incluidos",
    "Percentiles of the whole run in milliseconds": "Percentiles de toda la ejecución en milisegundos",
}

METHOD = {
    "Requests beyond the end": "Solicitudes más allá del final",
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
    "Started": "Inicio",
    "Lasted": "Duración",
    "Salt": "Sal",
    "Schedule": "Plan",
    "Bodies": "Cuerpos",
    "Methodology": "Metodología",
    "Window": "Ventana",
    "Steady state": "Régimen estable",
    "Replies ended by": "Fin de las respuestas por",
    "no reason": "sin motivo",
    "Requests of the window": "Solicitudes de la ventana",
    "Percentiles": "Percentiles",
    "Intervals": "Intervalos",
    "Output tokens counted by": "Tokens de salida contados por",
    "Prompt tokens counted by": "Tokens de entrada contados por",
    "Tokenizer": "Tokenizador",
    "Load processes": "Procesos de carga",
    "what was in flight was given up": "se abandonó lo que estaba en curso",
    "Ended early": "Terminada antes de tiempo",
    "Run it again, as recorded:": "Repetirla, tal como se grabó:",
    "See these figures again, without any load:": "Ver otra vez estas cifras, sin carga alguna:",
    "It was started by:": "Se inició con:",
    "Everything asked for": "Todo lo pedido",
    "Setting": "Ajuste",
    "Value": "Valor",
    "effective": "efectivo",
    "The machine that measured": "La máquina que midió",
    "What is missing": "Qué falta",
    "How the charts were drawn": "Cómo se dibujaron los gráficos",
}

OVERVIEW = {
    "{n} tokens in, {m} out": "{n} tokens de entrada, {m} de salida",
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
    "(the server's first model)": "(el primer modelo del servidor)",
    "streamed": "en streaming",
    "not streamed": "sin streaming",
    "Charts of distributions and of the course of the run need the recording; this page was made from a saved "
    "result.": (
        "Los gráficos de distribuciones y del curso de la ejecución necesitan la grabación; esta página se hizo de un "
        "resultado guardado."
    ),
    "and {n} more, see the audit": "y {n} más, véase la auditoría",
    "Does it hold the SLO?": "¿Cumple el SLO?",
    "cannot be judged": "no se puede juzgar",
    "No SLO was given. A recording can be judged by one at any time, without a new load:": (
        "No se dio ningún SLO. Una grabación se puede juzgar con uno en cualquier momento, sin nueva carga:"
    ),
    "Where does the time go?": "¿En qué se va el tiempo?",
    "It cannot be told without the recording.": "No se puede saber sin la grabación.",
    "Below each figure: its 95 % interval. +: at least so much, more samples give an upper end. "
    "Underlined words have a definition: hover, focus or tap.": (
        "Bajo cada cifra: su intervalo del 95 %. +: al menos eso, más muestras dan un extremo superior. "
        "Las palabras subrayadas tienen definición: pasar por encima, enfocar o tocar."
    ),
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
    "{good} of {planned} planned requests kept to every limit": (
        "{good} de {planned} solicitudes planificadas cumplieron todos los límites"
    ),
    "closed loop, 1 user": "bucle cerrado, 1 usuario",
    "{a} to {b} s": "{a} a {b} s",
    "Requests of the run": "Solicitudes de la ejecución",
    "Which run": "Qué ejecución",
    "Nothing to add.": "Nada que añadir.",
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
    "Made by Loadcell {version} from the recording of {date}. This file is complete: it loads nothing.": (
        "Hecho con Loadcell {version} a partir de la grabación del {date}. Este archivo está completo: no carga nada."
    ),
}

COURSE = {
    "Throughput and requests in flight": "Caudal y solicitudes en curso",
    "Throughput": "Caudal",
    "Worst stalls": "Peores pausas",
    "gap": "intervalo",
    "ended at": "terminó en",
    "request": "solicitud",
    "before event": "antes del evento",
    "others at that moment": "otras en ese momento",
    "read late by the client": "leída tarde por el cliente",
    "Beside the load": "Junto a la carga",
    "What the server and the machines told while the load ran; means are over the window": (
        "Lo que dijeron el servidor y las máquinas durante la carga; las medias son de la ventana"
    ),
    "Quantity": "Magnitud",
    "min": "mín.",
    "gained": "ganado",
    "told by": "según",
    "Energy": "Energía",
    "Where TTFT goes": "En qué se va el TTFT",
    "Mean TTFT of {n} requests: {ms} ms. Told by {source} and by the client": (
        "TTFT medio de {n} solicitudes: {ms} ms. Según {source} y el cliente"
    ),
    "Time per token between events, which hold several here: p50 {p50} ms, p99 {p99} ms": (
        "Tiempo por token entre eventos, que aquí traen varios: p50 {p50} ms, p99 {p99} ms"
    ),
    "part": "parte",
    "mean (ms)": "media (ms)",
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
