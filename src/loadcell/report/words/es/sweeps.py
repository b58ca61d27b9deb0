"""Spanish: pages of sweeps and comparisons, by their literal text."""

from __future__ import annotations

SWEEP_PAGE = {
    "One stage": "Una etapa",
    "Go on with it": "Continuarlo",
    "The report of each stage": "El informe de cada etapa",
    "Floor": "Base",
    "one user alone, medians": "un único usuario, medianas",
    "one user alone was not measured": "no se midió un único usuario",
    "Knees": "Codos",
    "by {method}": "por {method}",
    "{figure} against requests in flight": "{figure} frente a solicitudes en curso",
    "{n} of {all}": "{n} de {all}",
    "mostly missed: {limit}": "se incumplió sobre todo: {limit}",
    "no stage could tell whether its queue stays bounded": "ninguna etapa mostró si su cola queda acotada",
    "P: on the Pareto front, none beats it in both tokens/s of one user and {total}": (
        "P: en el frente de Pareto, ninguna la supera a la vez en tokens/s de un usuario y {total}"
    ),
    "tokens/s a GPU": "tokens/s por GPU",
    "tokens/s in total": "tokens/s en total",
    "E: ended early, for it was decided, its queue grew or its requests failed": (
        "E: terminó antes, porque estaba decidida, su cola crecía o sus solicitudes fallaban"
    ),
    "Goodput n/a: no SLO was given (--slo).": "Goodput n/d: no se dio ningún SLO (--slo).",
    "p99 has an upper end from {n} independent requests (+: it is at least so much)": (
        "el p99 tiene extremo superior a partir de {n} solicitudes independientes (+: es al menos eso)"
    ),
    "{p} n/a (fewer than {n} requests)": "{p} n/d (menos de {n} solicitudes)",
    "as long as the floor shows to be needed": "lo que la base muestre necesario",
    "{share} of {n} requests kept to it": "{share} de {n} solicitudes lo cumplieron",
    "Fastest for one user": "Más rápida para un usuario",
    "{share} kept to every limit": "{share} cumplieron todos los límites",
    "one user": "un usuario",
    "{first} to {last}": "{first} a {last}",
    "{n} stages in {time}": "{n} etapas en {time}",
    "search for the highest load that holds the SLO": "búsqueda de la mayor carga que cumple el SLO",
    "grid of given loads": "rejilla de cargas dadas",
    "{time} at most": "{time} como máximo",
    "varied": "variado",
    "open loop, {arrivals} arrivals": "bucle abierto, llegadas {arrivals}",
    "Kind": "Tipo",
    "Varied": "Se varió",
    "Length of a stage": "Duración de una etapa",
    "Begun by": "Iniciado con",
    "closed loop": "bucle cerrado",
    "Loads allowed": "Cargas permitidas",
    "Width asked for": "Anchura pedida",
    "{limits} for {share} of requests": "{limits} para el {share} de las solicitudes",
    "Highest throughput": "Mayor caudal",
    "at {load}, {stage}": "a {load}, {stage}",
    "The answer rests on {stages}, {word}": "La respuesta se apoya en {stages}, {word}",
    "failures": "fallos",
    "bracket {width} wide": "horquilla de {width}",
    "a cliff: attainment collapses inside the bracket": "caída brusca: el cumplimiento se hunde dentro de la horquilla",
    "goodput {rate} requests/s": "goodput {rate} solicitudes/s",
    "it grows at {load}": "crece a {load}",
    "stages {numbers}": "etapas {numbers}",
    "{change} points": "{change} puntos",
    "no growing queue was seen": "no se vio crecer la cola",
    "carries {rate} requests/s with a queue": "soporta {rate} solicitudes/s con cola",
    "Queue stays bounded up to": "La cola queda acotada hasta",
    "Holds up to": "Cumple hasta",
    "Likely holds up to": "Probablemente cumple hasta",
    "Likely fails at": "Probablemente falla a",
    "the limit lies between with {share} likelihood": "el límite está entre ambas con probabilidad del {share}",
    "Fails at": "Falla a",
    "Breaks first": "Se rompe primero",
    "Highest goodput": "Mayor goodput",
    "Shortest median TTFT": "Menor TTFT mediano",
    "{h} h {m} min": "{h} h {m} min",
    "{m} min {s} s": "{m} min {s} s",
    "K: a knee": "K: un codo",
    "Q: the queue grows": "Q: la cola crece",
    "The search": "La búsqueda",
    "Curves": "Curvas",
    "Trade-offs": "Compromisos",
    "Stages": "Etapas",
    "The server": "El servidor",
    "Search for the highest load that holds an SLO": "Búsqueda de la mayor carga que cumple un SLO",
    "Sweep over loads": "Barrido de cargas",
    "This sweep is not finished.": "Este barrido no ha terminado.",
    "Latencies in milliseconds, the median over p99; below requests/s the goodput, below tokens/s what one user "
    "sees.": (
        "Latencias en milisegundos, la mediana sobre el p99; bajo solicitudes/s el goodput, bajo tokens/s lo que ve un "
        "usuario."
    ),
    "users": "usuarios",
    "attainment": "cumplimiento",
    "Ended": "Fin",
    "Made by Loadcell {version}. This file is complete: it loads nothing.": (
        "Hecho con Loadcell {version}. Este archivo está completo: no carga nada."
    ),
}

COMPARISON_PAGE = {
    "A/A noise floor, {first} runs against {second}: {floors}. A finding lies beyond it.": (
        "Ruido de fondo A/A, {first} ejecuciones frente a {second}: {floors}. Un hallazgo queda más allá de él."
    ),
    "Methodology of {side}": "Metodología de {side}",
    "saved result": "resultado guardado",
    "No findings. Measure both in the same way, or give --force to see the figures all the same.": (
        "Sin hallazgos. Medir ambos del mismo modo, o dar --force para ver igualmente las cifras."
    ),
    "{n} runs a side": "{n} ejecuciones por lado",
    "{n} requests a side": "{n} solicitudes por lado",
    "Comparison": "Comparación",
    "Distributions": "Distribuciones",
    "How far two runs of the same thing differ": "Cuánto difieren dos ejecuciones de lo mismo",
    "{n} of {all} gates failed": "fallaron {n} de {all} controles",
    "baseline": "referencia",
    "{side} against A": "{side} frente a A",
    "Nothing that matters differs in how the sides were measured.": (
        "Nada que importe difiere en cómo se midieron los lados."
    ),
    "no difference that matters": "sin diferencia que importe",
    "needs {what}": "necesita {what}",
    "Change: {side} against A, with its 95 % interval. better, worse: shown at 5 % after Holm's correction for "
    "{tests} tests. no difference that matters: the interval lies within {effect} (shares: {points} points).": (
        "Cambio: {side} frente a A, con su intervalo del 95 %. mejor, peor: demostrado al 5 % tras la corrección de "
        "Holm para {tests} pruebas. sin diferencia que importe: el intervalo queda dentro de {effect} (proporciones: "
        "{points} puntos)."
    ),
    "From {n} runs of the same thing. Noise floor: what two such runs differ by, at most, 95 times out of 100. No "
    "smaller difference between two runs is a finding.": (
        "De {n} ejecuciones de lo mismo. Ruido de fondo: lo que difieren dos de ellas, como máximo, 95 veces de cada "
        "100. Ninguna diferencia menor entre dos ejecuciones es un hallazgo."
    ),
    "deviation": "desviación",
    "noise floor": "ruido de fondo",
    "Compare them again": "Compararlos de nuevo",
    "Least difference that matters": "Menor diferencia que importa",
    "{effect} (shares: {points} points)": "{effect} (proporciones: {points} puntos)",
    "given: INVALID or not comparable sides are compared all the same": (
        "dado: los lados NO VÁLIDOS o no comparables se comparan igualmente"
    ),
}

SWEEPS = {**SWEEP_PAGE, **COMPARISON_PAGE}
