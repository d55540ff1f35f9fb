/* SPDX-License-Identifier: Apache-2.0 */
#include "lora_place.h"

#include "check.h"
#include "gradients.h"

#include "io/file.h"
#include "io/safetensors.h"

#include <math.h>
#include <stdlib.h>

void lora_place_open(struct lora_place *p, const char *path, int n_thread, const struct model_options *o)
{
    struct error err = {0};
    if (device_open(&p->device, DEVICE_CPU, &(struct device_options){.n_thread = n_thread}, &err) ||
        checkpoint_open(&p->source, path, &err) || model_open(&p->model, p->device, p->source, o, &err))
        fail_msg("%s", err.message);
}

void lora_place_close(struct lora_place *p)
{
    model_close(p->model);
    checkpoint_close(p->source);
    device_close(p->device);
}

/* PEFT's tensors as masters. */
static void load_factors(const char *adapter, const struct model *m, struct queue *q, struct span masters)
{
    struct file_map map;
    struct safetensors *s;
    char path[300];
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", adapter);
    assert_int_equal(file_map(&map, path, NULL), 0);
    assert_int_equal(safetensors_parse(&s, map.data, map.size, path, NULL), 0);
    assert_int_equal(safetensors_n_tensor(s), m->lora->n_param);
    for (int i = 0; i < m->lora->n_param; i++) {
        const struct model_param *p = &m->lora->params[i];
        long at = safetensors_find(s, p->name);
        if (at < 0)
            fail_msg("%s: PEFT has no %s", adapter, p->name);
        assert_int_equal(safetensors_tensor(s, (size_t)at)->n_element, p->count);
        const float *values = (const float *)(const void *)safetensors_data(s, (size_t)at);
        for (int64_t row = 0, width = p->shape[1]; row < p->shape[0]; row++)
            queue_upload(q, span_at(masters, (size_t)(p->offset + param_own_row(p, row) * width) * 4),
                         values + row * width, (size_t)width * 4);
    }
    assert_int_equal(queue_wait(q, NULL), 0);
    safetensors_free(s);
    file_unmap(&map);
}

float *lora_place_gradients(struct lora_place *p, const char *adapter, const struct train_data *data, double *loss)
{
    struct buffer *masters;
    struct queue *q = device_queue(p->device);
    double weight = 0;
    for (int i = 0; i < data->n; i++)
        weight += row_weight(&data->rows[i], model_desc(p->model));
    assert_int_equal(buffer_new(&masters, p->device, (size_t)p->model->lora->n_element * 4, "masters", NULL), 0);
    load_factors(adapter, p->model, q, (struct span){masters, 0});
    lora_pack(p->model, q, (struct span){masters, 0});
    assert_int_equal(queue_wait(q, NULL), 0);
    const struct gradient_rows rows = {data->rows, (int)data->n, adapter, (float)(1 / weight)};
    float *got = gradients_of(p->model, &rows, 0, (const int[]){1, (int)data->n}, data->n > 1 ? 2 : 1, loss);
    *loss /= weight;
    buffer_free(masters);
    return got;
}

void lora_place_expect(struct lora_place *p, const struct lora_options *o, const char *adapter,
                       const struct train_data *data, const json_t *wanted)
{
    const json_t *norms = json_object_get(wanted, "gradient_norms");
    double loss, wanted_loss = json_number_value(json_object_get(wanted, "loss"));
    assert_int_equal(lora_add(p->model, o, NULL), 0);
    assert_int_equal(p->model->lora->n_param, json_object_size(norms));
    float *got = lora_place_gradients(p, adapter, data, &loss);
    if (!(fabs(loss / wanted_loss - 1) <= 1e-5))
        fail_msg("%s: loss %.9g, peft %.9g", adapter, loss, wanted_loss);
    for (int i = 0; i < p->model->lora->n_param; i++) {
        const struct model_param *param = &p->model->lora->params[i];
        double w = json_number_value(json_object_get(norms, param->name)), sum = 0;
        for (int64_t j = 0; j < param->count; j++)
            sum += (double)got[param->offset + j] * (double)got[param->offset + j];
        if (!(fabs(sqrt(sum) - w) <= 1e-4 * w))
            fail_msg("%s: %s: gradient %.9g, peft %.9g", adapter, param->name, sqrt(sum), w);
    }
    free(got);
}
